"""All probes by their names. docs/assumptions.toml uses these names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ops.conform import limit_probes as limit
from ops.conform import oss_probes as oss
from ops.conform import other_probes as other
from ops.conform.site import Site
from ops.conform.verdicts import Finding

Probe = Callable[[Site], Finding]
"""A function that tests one assumption. It may raise NotTried or OverBudget."""

PROBES: Mapping[str, Probe] = {
    probe.__name__: probe
    for probe in (
        oss.acl_in_put,
        oss.link_rights,
        oss.signed_size,
        oss.forbid_overwrite,
        oss.additional_header,
        oss.foreign_token,
        oss.form_conditions,
        oss.form_field_twice,
        oss.form_redirect,
        oss.form_content_type,
        oss.multipart_callback,
        oss.callback_variable,
        oss.callback_key,
        oss.image_actions,
        oss.image_percent,
        oss.v1_refused,
        oss.public_endpoint,
        oss.unknown_header,
        oss.write_condition,
        oss.control_characters,
        oss.link_headers,
        oss.range_answer,
        oss.compressed_type,
        oss.appendable_copy,
        limit.part_size,
        limit.completion_overwrite,
        limit.completion_callback,
        limit.completion_repeated,
        limit.empty_completion,
        limit.start_overwrite,
        limit.start_headers,
        limit.signed_disposition,
        limit.form_exact,
        limit.response_headers,
        limit.two_framings,
        other.resource_case,
        other.policy_variable,
        other.absent_condition_key,
        other.sts_statuses,
        other.plain_http,
        other.platform_cors,
        other.empty_variables,
        other.preinstalled,
        other.byte_code,
        other.session_hours,
        other.internal_endpoint,
        other.platform_headers,
    )
}
