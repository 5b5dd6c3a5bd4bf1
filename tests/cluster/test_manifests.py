"""The cluster manifests, as far as they can be checked without a cluster: by Ray's own schema and command line, by our
command line, and by what Kubernetes demands of a RayJob."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "cluster"
CLUSTERS = ("on_premise", "cloud")
MANIFESTS = (*CLUSTERS, "kuberay")

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "MLFLOW_DISABLE_TELEMETRY": "true"}

# What we use of a RayJob, by the types of KubeRay (ray-operator/apis/ray/v1) and Kubernetes; a typing error is unknown.
# A star marks what must be there.
RAY_JOB = {
    "": "apiVersion* kind* metadata* spec*",
    "metadata": "name*",
    "spec": "entrypoint* rayClusterSpec* shutdownAfterJobFinishes ttlSecondsAfterFinished backoffLimit submissionMode",
    "spec.rayClusterSpec": "rayVersion* authOptions* headGroupSpec* workerGroupSpecs*",
    "spec.rayClusterSpec.authOptions": "mode*",
    "spec.rayClusterSpec.headGroupSpec": "rayStartParams* template*",
    "spec.rayClusterSpec.workerGroupSpecs": "groupName* replicas minReplicas* maxReplicas* rayStartParams* template*",
}
POD = {
    "": "spec* metadata",
    "spec": "containers* volumes securityContext tolerations nodeSelector",
    "spec.volumes": "name* persistentVolumeClaim emptyDir",
    "spec.volumes.persistentVolumeClaim": "claimName*",
    "spec.containers": "name* image* env volumeMounts resources",
    "spec.containers.env": "name* value*",
    "spec.containers.volumeMounts": "name* mountPath*",
    "spec.containers.resources": "requests* limits*",
}
QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|[MGTPE]|[KMGTPE]i)?")
LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def text(manifest: str) -> str:
    return (FOLDER / f"{manifest}.yaml").read_text()


def documents(manifest: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text(manifest)))


def ray_job() -> dict[str, Any]:
    return documents("kuberay")[1]


def pods() -> list[dict[str, Any]]:
    cluster = ray_job()["spec"]["rayClusterSpec"]
    return [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def pinned(package: str) -> str:
    """The version that constraints.txt names."""
    (version,) = re.findall(rf"^{package}==(.+)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)
    return str(version)


def commands(manifest: str, program: str) -> list[list[str]]:
    """What a manifest runs of a program, or shows its reader in indented comments, as arguments."""
    found = []
    for line in text(manifest).replace("\\\n#", " ").splitlines():
        code = re.sub(r"^(#   |\s*- | *entrypoint: | +)", "", line.partition(" # ")[0])
        for part in re.split(r"; | -- ", code) if code != line else ():
            if shown := re.fullmatch(rf"\s*(?:[A-Z_]+=\S+ )*(?:/\S+/)?{program} ([^&]+?)[ &]*", part):
                found.append(shlex.split(shown[1]))
    return found


def at(value: Any, path: str) -> Iterator[Any]:
    """Everything at a dotted path, through lists."""
    if isinstance(value, list):
        for one in value:
            yield from at(one, path)
    elif not path:
        yield value
    elif (key := path.partition(".")[0]) in value:
        yield from at(value[key], path.partition(".")[2])


def check_fields(value: Any, fields: dict[str, str]) -> None:
    for path, names in fields.items():
        known = {name.rstrip("*") for name in names.split()}
        needed = {name.rstrip("*") for name in names.split() if name.endswith("*")}
        for found in at(value, path):
            assert needed <= set(found) <= known, f"at {path or 'the top'}"


@pytest.mark.parametrize("manifest", CLUSTERS)
def test_ray_up_accepts_the_cluster(manifest: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    (config,) = documents(manifest)
    prepared = prepare_config(config)
    validate_config(prepared)
    workers = {name: kind for name, kind in prepared["available_node_types"].items() if kind["min_workers"]}
    (worker,) = workers.values()
    assert worker["min_workers"] == worker["max_workers"] == prepared["max_workers"] > 1
    for start in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert len(prepared[start]) == 2 and "ray stop" in prepared[start][0] and "ray start" in prepared[start][1]


def test_the_clouds_gpu_workers_may_be_spot_instances_and_its_head_is_not() -> None:
    (config,) = documents("cloud")
    kinds = config["available_node_types"]
    head, worker = kinds[config["head_node_type"]]["node_config"], kinds["gpu"]["node_config"]
    assert worker["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "InstanceMarketOptions" not in head
    assert set(head) < set(worker), "both need an image and a disk"


@pytest.mark.parametrize("manifest", CLUSTERS)
def test_every_ray_command_is_one(manifest: str) -> None:
    from ray.scripts.scripts import cli

    used = set()
    for name, *rest in commands(manifest, "ray"):
        used.add(name)
        command: Any = cli.commands[name]
        if name == "job":
            command, rest = command.commands[rest[0]], [*rest[1:], "--", "entrypoint"]
        command.make_context(name, rest)  # parses and runs nothing
    assert used >= {"get-auth-token", "up", "dashboard", "job", "stop", "start"}


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_every_command_of_ours_is_one_and_keeps_its_results(manifest: str) -> None:
    from typer.main import get_command

    from evo.cli import app
    from evo.recipe import load

    found = [arguments for arguments in commands(manifest, "evofabric") if arguments[0] in ("search", "resume")]
    assert found
    for name, *rest in found:
        group: Any = get_command(app)
        parsed = group.commands[name].make_context(name, rest).params
        if name == "search":
            assert (REPOSITORY / "runs" / parsed["recipe"].name).is_file()
            settings = load(REPOSITORY / "runs" / parsed["recipe"].name, parsed["overrides"])
            assert settings.runs.is_absolute(), "these run as Ray jobs"


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_authentication_is_on_and_reports_to_makers_are_off(manifest: str) -> None:
    if manifest == "on_premise":
        starts = [line for line in text(manifest).splitlines() if "export " in line]
        assert len(starts) == 2
        environments = [dict(part.split("=") for part in line.strip(" ;").split()[1:]) for line in starts]
    elif manifest == "cloud":
        options = [option.split() for option in documents(manifest)[0]["docker"]["run_options"]]
        environments = [dict(value.split("=") for flag, value in options if flag == "--env")]
    else:
        assert ray_job()["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
        containers = list(at(pods(), "spec.containers"))
        environments = [{one["name"]: one["value"] for one in container["env"]} for container in containers]
        environments = [{"RAY_AUTH_MODE": "token", **environment} for environment in environments]
    assert environments and all(found == {"RAY_AUTH_MODE": "token", **QUIET} for found in environments)
    if manifest != "kuberay":
        assert documents(manifest)[0]["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


@pytest.mark.parametrize(
    ("package", "file", "names"),
    [
        ("ray", "_private/authentication/authentication_token_setup.py", ["RAY_AUTH_MODE"]),
        ("ray", "_common/usage/usage_constants.py", ["RAY_USAGE_STATS_ENABLED"]),
        ("mlflow", "environment_variables.py", ["MLFLOW_DISABLE_TELEMETRY"]),
    ],
)
def test_the_environment_is_what_ray_and_mlflow_read(package: str, file: str, names: list[str]) -> None:
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None
    source = (Path(spec.origin).parent / file).read_text()
    assert all(f'"{name}"' in source for name in names)


def test_versions_are_those_that_are_installed_elsewhere() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    words = "".join(map(text, MANIFESTS))
    assert set(re.findall(r"rayproject/ray:([\d.]+)-", words)) == {pinned("ray")}
    assert ray_job()["spec"]["rayClusterSpec"]["rayVersion"] == pinned("ray")
    wheel = rf"{project['name']}-([\d.]+)-py3-none-any\.whl"
    assert set(re.findall(wheel, words)) == {project["version"]}
    assert set(re.findall(r"/evofabric:([\d.]+)", words)) == {project["version"]}


def test_files_that_are_copied_exist_or_are_built_before() -> None:
    for manifest in CLUSTERS:
        for remote, local in documents(manifest)[0]["file_mounts"].items():
            assert Path(remote).name == Path(local).name
            assert local.startswith(("~/", "build/")) or (REPOSITORY / local).is_file()
    copied = " ".join(re.findall(r"COPY (.*) /home/ray/", text("kuberay"))).split()
    assert copied
    for local in copied:
        assert local.startswith("build/") or (REPOSITORY / local).is_file()


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_what_must_be_changed_says_so_and_is_nobodys(manifest: str) -> None:
    words = text(manifest)
    assert "CHANGE-ME" in words
    assert set(re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", words)) <= {"127.0.0.1"}
    assert not re.search(r"ami-[0-9a-f]{8}|\b\d{12}\b", words)


def test_the_ray_job_has_the_fields_that_kuberay_knows() -> None:
    job = ray_job()
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    check_fields(job, RAY_JOB)
    assert LABEL.fullmatch(job["metadata"]["name"]) and len(job["metadata"]["name"]) <= 47
    for group in job["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        assert LABEL.fullmatch(group["groupName"])
        assert 0 < group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for pod in pods():
        check_fields(pod, POD)
        assert len({container["name"] for container in pod["spec"]["containers"]}) == len(pod["spec"]["containers"])


def test_its_containers_ask_for_what_they_may_have_and_only_workers_for_gpus() -> None:
    gpus = []
    for pod in pods():
        (resources,) = at(pod, "spec.containers.resources")
        assert all(QUANTITY.fullmatch(str(one)) for kind in resources.values() for one in kind.values())
        assert {"cpu", "memory"} <= set(resources["limits"]) <= {"cpu", "memory", "nvidia.com/gpu"}
        assert resources["requests"] == resources["limits"], "Ray counts limits; Kubernetes places by requests"
        gpus.append(resources["limits"].get("nvidia.com/gpu", 0))
    head, *workers = gpus
    assert head == 0 and workers and all(isinstance(count, int) and count > 0 for count in workers)


def test_its_results_are_on_a_volume_that_outlives_it() -> None:
    claim, job = documents("kuberay")
    assert (claim["apiVersion"], claim["kind"]) == ("v1", "PersistentVolumeClaim")
    assert QUANTITY.fullmatch(claim["spec"]["resources"]["requests"]["storage"])
    for pod in pods():
        volumes = {volume["name"]: volume for volume in at(pod, "spec.volumes")}
        mounted = {mount["name"] for mount in at(pod, "spec.containers.volumeMounts")}
        assert mounted == set(volumes)
    head = pods()[0]
    (volume,), (mount,) = at(head, "spec.volumes"), at(head, "spec.containers.volumeMounts")
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (runs,) = re.findall(r"runs=(\S+)", job["spec"]["entrypoint"])
    assert Path(runs).is_relative_to(mount["mountPath"])
    assert (
        claim["spec"]["accessModes"] == ["ReadWriteOnce"]
        and sum(bool(list(at(p, "spec.volumes"))) for p in pods()) == 1
    )
