"""Checks the region, the endpoints, the bucket and the upload role."""

from __future__ import annotations

from ops.configuration import is_public_in_mainland
from ops.doctor.patient import Patient
from ops.report import Finding, judged, passed, skipped, warned
from ops.smoke.wire import unresolved
from token_service.settings import oss_hosts


def region(patient: Patient) -> Finding:
    """The region of the bucket and of the function."""
    wrong, settings = patient.faults_of("OSS_REGION", "FC_REGION"), patient.settings
    if wrong:
        return judged(wrong)
    return passed(settings.region)


def endpoints(patient: Patient) -> Finding:
    """The endpoint at which clients reach OSS.

    The date in the warning is from the vendor documentation, "Regions and endpoints".
    """
    wrong, settings = patient.faults_of("OSS_ENDPOINT"), patient.settings
    if wrong:
        return judged(wrong)
    if patient.faults_of("OSS_REGION", "FC_REGION", "BUCKET_NAME"):
        return skipped("not known: set a valid OSS_REGION and BUCKET_NAME first")
    where = f"clients reach OSS at {settings.oss_endpoint}"
    page = "(docs/deploy.md, A domain for the bucket)"
    if oss_hosts.is_cname(settings.oss_endpoint):
        host = settings.oss_endpoint.host
        fault = unresolved(host)
        if fault:
            return warned(f"{host}: {fault}; does its CNAME record exist? {page}")
        return passed(
            f"{where}; `make smoke UPLOAD=1` checks the certificate of this domain, and whether "
            "the domain is bound to the bucket"
        )
    if is_public_in_mainland(settings.oss_endpoint, settings.region):
        return warned(
            "if you began to use OSS on 2025-03-20 or later, uploads fail "
            "(PublicEndpointForbidden), and you need a domain of your own as OSS_ENDPOINT "
            f"{page}; {where}"
        )
    return passed(where)


def own_calls(patient: Patient) -> Finding:
    """The endpoint at which the function itself reaches OSS."""
    wrong, own = patient.faults_of("OSS_INTERNAL_"), patient.settings.oss_internal_endpoint
    if wrong:
        return judged(wrong)
    if patient.faults_of("OSS_", "FC_REGION", "BUCKET_NAME"):
        return skipped("not known: the region, the bucket or OSS_ENDPOINT is wrong")
    where = f"the function itself reaches OSS at {own}"
    if "-internal." in own.host:
        where += (
            "; whether this works without a VPC is not verified on the real cloud (assumption 33)"
        )
    return passed(where)


def role(patient: Patient) -> Finding:
    """The upload role, for which tokens are issued."""
    wrong, settings = patient.faults_of("ROLE_ARN"), patient.settings
    if wrong:
        return judged(wrong)
    left = "ROLE_ARN" in patient.left_to_s_yaml
    return passed("not set: s.yaml derives it from the account's id" if left else settings.role_arn)


def bucket(patient: Patient) -> Finding:
    """The bucket and the prefix in it."""
    wrong, settings = patient.faults_of("BUCKET_NAME", "OBJECT_PREFIX"), patient.settings
    if wrong:
        return judged(wrong)
    return passed(f"{settings.prefix} of {settings.bucket}")
