"""Where the function finds OSS, and whom it is to STS."""

from __future__ import annotations

from ops.configuration import is_public_in_mainland
from ops.doctor.patient import Patient
from ops.report import Finding, judged, passed, skipped, warned
from ops.smoke.wire import unresolved
from token_service.settings import oss_hosts


def region(patient: Patient) -> Finding:
    """Of the bucket, and of the function."""
    wrong, settings = patient.faults_of("OSS_REGION", "FC_REGION"), patient.settings
    if wrong:
        return judged(wrong)
    return passed(settings.region)


def endpoints(patient: Patient) -> Finding:
    """Source of the date: vendor documentation, "Regions and endpoints"."""
    wrong, settings = patient.faults_of("OSS_ENDPOINT"), patient.settings
    if wrong:
        return judged(wrong)
    if patient.faults_of("OSS_REGION", "FC_REGION", "BUCKET_NAME"):
        return skipped("not known: region or bucket is wrong")
    where = f"clients reach OSS at {settings.oss_endpoint}"
    page = "(docs/deploy.md, A domain for the bucket)"
    if oss_hosts.is_cname(settings.oss_endpoint):
        host = settings.oss_endpoint.host
        fault = unresolved(host)
        if fault:
            return warned(f"{host}: {fault}; is the CNAME record there? {page}")
        return passed(
            f"{where}; whether it is bound to the bucket, and its certificate, is not looked at: "
            "make smoke UPLOAD=1 does"
        )
    if is_public_in_mainland(settings.oss_endpoint, settings.region):
        return warned(
            "uploads fail (PublicEndpointForbidden) if you began with OSS on 2025-03-20 or later: "
            f"it then needs a domain of yours as OSS_ENDPOINT {page}; {where}"
        )
    return passed(where)


def own_calls(patient: Patient) -> Finding:
    """Where the function itself reaches OSS."""
    wrong, own = patient.faults_of("OSS_INTERNAL_"), patient.settings.oss_internal_endpoint
    if wrong:
        return judged(wrong)
    if patient.faults_of("OSS_", "FC_REGION", "BUCKET_NAME"):
        return skipped("not known: region, bucket or OSS_ENDPOINT is wrong")
    where = f"the function itself reaches OSS at {own}"
    if "-internal." in own.host:
        where += " (not verified on the real cloud (assumption 33): that it does so without a VPC)"
    return passed(where)


def role(patient: Patient) -> Finding:
    """The upload role, of which tokens are made."""
    wrong, settings = patient.faults_of("ROLE_ARN"), patient.settings
    if wrong:
        return judged(wrong)
    left = "ROLE_ARN" in patient.left_to_s_yaml
    return passed("not set: s.yaml names it" if left else settings.role_arn)


def bucket(patient: Patient) -> Finding:
    """And the prefix in it."""
    wrong, settings = patient.faults_of("BUCKET_NAME", "OBJECT_PREFIX"), patient.settings
    if wrong:
        return judged(wrong)
    return passed(f"{settings.prefix} of {settings.bucket}")
