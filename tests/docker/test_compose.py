"""The container files, as far as they can be checked without an engine."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSE = DOCKER / "compose.yaml"
SECRET = re.compile(r"password|passwd|secret|token|api_?key|auth", re.IGNORECASE)
INSTRUCTIONS = frozenset(
    [
        "FROM",
        "ARG",
        "WORKDIR",
        "COPY",
        "RUN",
        "ENV",
        "USER",
        "VOLUME",
        "ENTRYPOINT",
        "CMD",
        "EXPOSE",
        "HEALTHCHECK",
        "LABEL",
    ]
)
SERVICE_KEYS = frozenset(
    [
        "image",
        "build",
        "profiles",
        "restart",
        "environment",
        "ports",
        "volumes",
        "healthcheck",
        "depends_on",
        "stop_grace_period",
        "security_opt",
        "cap_drop",
    ]
)


def compose() -> dict[str, Any]:
    loaded = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continued lines joined."""
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    split = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(name, rest.strip()) for name, _, rest in split]


def sources() -> list[str]:
    """What the Dockerfile copies from the build context."""
    copies = [rest.split() for name, rest in instructions() if name == "COPY"]
    return [source for words in copies if "--from" not in words[0] for source in words[:-1]]


def ignored(path: str) -> bool:
    """Whether `.dockerignore` leaves a path out of the context; the last matching line wins."""
    result = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            parts = path.split("/")
            prefixes = ("/".join(parts[: n + 1]) for n in range(len(parts)))
            if any(fnmatch.fnmatchcase(prefix, pattern) for prefix in prefixes):
                result = not line.startswith("!")
    return result


def pinned(line: str) -> str:
    pom = (DOCKER / "neo4j" / "pom.xml").read_text(encoding="utf-8")
    found = re.search(rf"<id>{line}</id>.*?<neo4j.version>(.*?)<", pom, re.DOTALL)
    assert found
    return found[1]


def test_services_and_volumes_fit_together() -> None:
    document = compose()
    assert set(document) == {"name", "services", "volumes"}
    services = document["services"]
    used = set()
    for service in services.values():
        assert set(service) <= SERVICE_KEYS
        assert "image" in service
        assert set(service.get("depends_on", ())) <= set(services)
        used |= {volume.split(":")[0] for volume in service.get("volumes", ())}
    assert used == set(document["volumes"]), "every volume is named, and every name is used"


def test_the_server_is_the_one_the_tests_run() -> None:
    assert compose()["services"]["neo4j"]["image"] == f"neo4j:{pinned('5.26')}-community"


def test_the_app_waits_for_a_healthy_server() -> None:
    services = compose()["services"]
    assert services["app"]["depends_on"] == {"neo4j": {"condition": "service_healthy"}}
    kind, command = services["neo4j"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    assert "cypher-shell" in command
    assert not re.search(r"cypher-shell.* (-p|--password)", command), "seen in the process list"
    assert services["app"]["environment"]["NEO4J_URI"] == "bolt://neo4j:7687"


def test_ports_are_open_on_loopback_alone() -> None:
    ports = [p for s in compose()["services"].values() for p in s.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_secret_is_inside() -> None:
    for name, service in compose()["services"].items():
        for key, value in service.get("environment", {}).items():
            if SECRET.search(key):
                assert "${NEO4J_PASSWORD:?" in value, f"{name}: {key} has a value of its own"
    for name, rest in instructions():
        assert not (name in ("ENV", "ARG") and SECRET.search(rest)), rest
    assert ignored(".env")
    assert ignored("docker/compose.yaml")


def test_the_build_context_holds_what_is_copied() -> None:
    assert {name for name, _ in instructions()} <= INSTRUCTIONS
    for source in sources():
        assert (ROOT / source).exists(), f"COPY {source}"
        assert not ignored(source), f".dockerignore leaves out {source}"
    build = compose()["services"]["app"]["build"]
    assert (DOCKER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()


def test_the_image_gets_every_package_and_nothing_else() -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    places = setup["tool"]["setuptools"]["package-dir"].values()
    assert set(places) <= set(sources())
    assert setup["project"]["readme"] in sources()
    assert ignored("runs/x")
    assert ignored("tests/conftest.py")
    assert ignored("cli/__pycache__/x.pyc") or ignored("__pycache__")


def test_the_image_runs_as_nobody_special() -> None:
    last = [rest for name, rest in instructions() if name == "USER"][-1]
    assert last not in ("root", "0")
    names = [name for name, _ in instructions()]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert names.count("FROM") == 2, "what builds does not stay in the image"


def test_docker_compose_accepts_it() -> None:
    docker = shutil.which("docker")
    has = docker and subprocess.run([docker, "compose", "version"], capture_output=True).returncode
    if docker is None or has != 0:
        pytest.skip("NOT TESTED: docker compose is not installed")
    command = [docker, "compose", "-f", str(COMPOSE), "--profile", "app", "config", "--quiet"]
    environment = {"NEO4J_PASSWORD": "only-for-this-test", "PATH": str(Path(docker).parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
