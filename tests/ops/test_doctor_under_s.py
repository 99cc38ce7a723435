"""Tests `make doctor` as the first step of `s deploy`. The real `s` runs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from doctored import ANOTHER, SECRET
from ops import ROOT
from ops.doctor.serverless_devs import home_of
from serverless_devs import Project, make_project

pytestmark = pytest.mark.slow

# No server listens at this STS_ENDPOINT.
VARIABLES = {"BUCKET_NAME": "my-bucket", "STS_ENDPOINT": "http://127.0.0.1:9"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that runs doctor before the build. Its build only makes a file."""
    project = make_project(tmp_path_factory.mktemp("under-s"))
    document = yaml.safe_load((ROOT / "s.yaml").read_text(encoding="utf-8"))
    document["resources"]["sts_token"]["actions"]["pre-deploy"] = [
        {"run": f"{sys.executable} -m ops.doctor", "path": "./"},
        {"run": "touch built", "path": "./"},
    ]
    (project.folder / "s.yaml").write_text(yaml.safe_dump(document))
    return project


def deploy(project: Project, env_file: str, **variables: str) -> tuple[str, bool]:
    """Return the output of `s deploy`, and whether the build began."""
    (project.folder / ".env").write_text(env_file)
    built = project.folder / "built"
    built.unlink(missing_ok=True)
    paths = f"{ROOT}:{ROOT / 'functions' / 'sts_token'}"
    done = project.run("deploy", "-y", PYTHONPATH=paths, **VARIABLES, **variables)
    return done.stdout + done.stderr, built.exists()


def test_a_warning_stops_no_deploy_and_shows_no_secret(project: Project) -> None:
    said, is_built = deploy(project, f"JWT_SECRET={SECRET}\nMAX_INSTANCES=300\n")
    assert "WARN  instances" in said
    assert "PASS  s CLI" in said
    assert "3.1.10 runs this" in said
    assert is_built, said
    assert SECRET not in said


def test_a_fault_stops_a_deploy_before_it_builds(project: Project) -> None:
    """Earlier, `s deploy` ended with exit status 0 although required settings were missing
    (findings B9 and B11)."""
    text = f"JWT_SECRET={SECRET}#{ANOTHER}\nDOMAIN_NAME=up.example.com\n"
    said, is_built = deploy(project, text)
    assert "FAIL  env file" in said
    assert "FAIL  own domain" in said
    assert not is_built
    assert SECRET not in said
    assert str(home_of(project.environment({})) / "logs") in said


def test_the_home_of_s_is_where_its_variable_says(project: Project, tmp_path: Path) -> None:
    elsewhere = {"serverless_devs_config_home": str(tmp_path)}
    said = project.run("--version", **elsewhere).stdout
    assert f"s-home: {home_of(project.environment(elsewhere))}," in said


def test_what_doctor_advises_leaves_no_log_with_a_secret(project: Project) -> None:
    logs = project.home / ".s" / "logs"
    assert list(logs.rglob("*.log"))
    assert project.run("set", "log", "disable").returncode == 0
    assert project.run("clean", "--logs").returncode == 0
    assert not list(logs.rglob("*.log"))
    deploy(project, f"JWT_SECRET={SECRET}\n")
    assert {path.name for path in logs.rglob("*") if path.is_file()} <= {"error.json"}
