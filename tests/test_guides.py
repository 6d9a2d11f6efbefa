"""The commands of the guides to servers do what the guides show, with real servers; their files are what tools accept."""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import boto3
import pytest
import yaml

from converter import Job
from converter.jobs.document import merge

from . import replay
from .servers import required
from .servers.ftp import authority, ftp_server
from .servers.s3 import aws_variables, moto
from .servers.sftp import sftp_server
from .test_cli import command

ROOT = Path(__file__).parent.parent
POLICIES = sorted((ROOT / "examples" / "s3").iterdir())
MANIFEST = ROOT / "examples" / "kubernetes" / "aam-inbound.yaml"
KUBERNETES = "1.31"
ADOBES, OWN = "demdex-s2s-clients", "acme-exports"


# --- S3 ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def buckets() -> Iterator[None]:
    """A server with the buckets of the guide, which are removed."""
    with aws_variables() as patch:
        patch.setenv("AWS_ENDPOINT_URL", moto())
        client = boto3.Session().client("s3")
        for bucket in (ADOBES, OWN):
            client.create_bucket(Bucket=bucket)
        yield
        for bucket in (ADOBES, OWN):
            for each in client.list_objects_v2(Bucket=bucket).get("Contents", []):
                client.delete_object(Bucket=bucket, Key=each["Key"])
            client.delete_bucket(Bucket=bucket)
        client.close()


@pytest.mark.usefixtures("buckets")
def test_the_guide_to_s3_sends_files(tmp_path: Path) -> None:
    assert replay.play("s3", tmp_path) > 4


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.name)
def test_policies_are_json_and_shown_by_the_guide(path: Path) -> None:
    document = json.loads(path.read_text())
    for statement in document.get("Statement", []):
        assert set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}
        assert statement["Effect"] == "Allow"
        assert all(action.partition(":")[0] in ("s3", "kms") and "*" not in action for action in statement["Action"])
    assert f"<!-- file: examples/s3/{path.name} -->" in (ROOT / "docs" / "s3.md").read_text()


@pytest.mark.usefixtures("buckets")
def test_s3_takes_the_lifecycle_rule() -> None:
    rules = json.loads((ROOT / "examples" / "s3" / "lifecycle.json").read_text())
    client = boto3.Session().client("s3")
    client.put_bucket_lifecycle_configuration(Bucket=OWN, LifecycleConfiguration=rules)
    (rule,) = client.get_bucket_lifecycle_configuration(Bucket=OWN)["Rules"]
    client.close()
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


# --- SFTP and FTPS ----------------------------------------------------------------------------------------------


def test_the_guide_to_servers_sends_files(tmp_path: Path) -> None:
    if not shutil.which("ssh-keygen"):
        required("ssh-keygen is not installed: apt-get install openssh-client")
    work, sftp_folder, ftp_folder = (tmp_path / name for name in ("work", "sftp", "ftp"))
    for folder in (work, sftp_folder, ftp_folder):
        folder.mkdir()
    with sftp_server(sftp_folder) as sftp, ftp_server(ftp_folder, tls=True) as ftp:
        handler: Any = ftp._server.handler
        handler.authorizer.add_user("acme", "correct horse battery", str(ftp.root), perm=ftp.rights)
        authority().cert_pem.write_to_path(str(work / "ca.pem"))

        def install_key() -> None:
            if sftp.key is None and (work / "aam_key.pub").exists():
                sftp.key = asyncssh.read_public_key(work / "aam_key.pub")

        names = {
            "sftp.example.com": f"localhost:{sftp.port}",
            "ftp.example.com": f"localhost:{ftp.port}",
            "SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDILBpLJNDVnTTmu0Q": sftp.keys[0].get_fingerprint(),
        }
        environment = {name: value for name, value in replay.of_sources().items() if name != "SSH_AUTH_SOCK"}
        environment["HOME"] = str(work)
        assert replay.play("servers", work, environment, names=names, after=install_key) > 4
        for server in (sftp, ftp):
            assert [each.suffix for each in (server.root / "inbound").iterdir()] == [".gz"]


# --- Kubernetes -------------------------------------------------------------------------------------------------


def manifest() -> dict[str, Any]:
    """The objects of the manifest by their kinds."""
    return {each["kind"]: each for each in yaml.safe_load_all(MANIFEST.read_text())}


@pytest.mark.slow
def test_kubernetes_knows_all_that_the_manifest_says() -> None:
    try:
        import kubernetes_validate  # with the schemas of all versions: large
    except ImportError:
        required("kubernetes-validate is not installed: make platforms")
    objects = manifest()
    for each in objects.values():
        kubernetes_validate.validate(each, KUBERNETES, strict=True)
    objects["CronJob"]["spec"]["concurencyPolicy"] = "Forbid"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(objects["CronJob"], KUBERNETES, strict=True)


def test_the_names_in_the_manifest_belong_together() -> None:
    objects = manifest()
    pod = objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"]
    maps = {each["name"]: each.get("configMap", {}).get("name") for each in pod["volumes"]}
    assert maps["jobs"] == objects["ConfigMap"]["metadata"]["name"]
    (container,) = pod["containers"]
    assert {each["name"] for each in container["volumeMounts"]} == set(maps)
    user = pod["securityContext"]["runAsUser"]
    assert f"USER {user}:" in (ROOT / "examples" / "Containerfile").read_text()
    assert container["resources"]["requests"]["cpu"] == "2", "as many as run.threads of the job"


@pytest.mark.usefixtures("buckets")
def test_the_pod_runs_the_job(tmp_path: Path) -> None:
    objects = manifest()
    for name, text in objects["ConfigMap"]["data"].items():
        (tmp_path / name).write_text(text.replace("BUCKET", OWN))
    job = Job.load(tmp_path / "crm.toml")
    assert job.run.threads == 2
    client = boto3.Session().client("s3")
    client.put_object(Bucket=OWN, Key="crm/1.csv", Body=b"crm_id,gender,city\nA-1001,f,Linz\n")
    (container,) = objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    args = [arg.replace("/jobs/", f"{tmp_path}/") for arg in container["args"]]
    empty = tmp_path / "empty"
    empty.mkdir()
    credentials = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    outcomes = [json.loads(command(empty, *args, **credentials)[1]) for _ in range(2)]
    assert [each["outcome"] for each in outcomes] == ["done", "nothing to do"]
    keys = [each["Key"] for each in client.list_objects_v2(Bucket=OWN, Prefix="aam/")["Contents"]]
    client.close()
    assert any(key.endswith(".report.json") for key in keys)
    assert list(empty.iterdir()) == []


# --- snippets ---------------------------------------------------------------------------------------------------

NEEDED = {
    "input": {"path": "crm.csv"},
    "id": {"column": "crm_id"},
    "record": {"signals": ["gender"]},
    "output": {"to": "s3://BUCKET", "dpid": 1},
}


@pytest.mark.parametrize("page", ["s3", "servers", "exports", "after"])
def test_snippets_are_parts_of_jobs(page: str) -> None:
    texts = re.findall(r"```toml.*?\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(), re.DOTALL)
    assert texts
    for text in texts:
        given = tomllib.loads(text)
        needed = {key: value for key, value in NEEDED.items() if key != "output" or "output" not in given}
        Job(**merge(needed, given))
