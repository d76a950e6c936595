"""The container image and the compose layout.

The tests need no container engine. On a copy of this machine they run every step of the image's last stage but apt-get,
then its entry point as its user, with its environment, without capabilities, on a read-only root with one volume, and
its health check. They run the processes of compose.yaml with their environment and secrets over a PostgreSQL and a
NATS. They do not run: pulling base images, apt-get, the first stage (`make dist`), and compose itself.
"""

import json
import re
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from grpclib.client import Channel

from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.support.cipher import MASTER_KEY
from tests.support.command import Command
from tests.support.dockerfile import read_dockerfile
from tests.support.inbox import Inbox, inbox
from tests.support.kannon_process import Client, Kannon, free_port
from tests.support.machine import Machine
from tests.support.mounts import needs_root
from tests.support.patience import patience

ROOT = Path(__file__).parents[2]
BUILD, FINAL = read_dockerfile(ROOT / "packaging" / "Dockerfile")
COMPOSE = ROOT / "packaging" / "compose.yaml"
BUNDLE = "/src/build/bundle/kannon"


def test_the_dockerfile_follows_the_rules_for_containers() -> None:
    """The rules of hadolint that apply to our Dockerfile."""
    for stage in (BUILD, FINAL):
        assert re.fullmatch(r"[a-z]+:[\w.-]*bookworm(-slim)?", stage.image), "a tag that stays what it is"
        assert not stage.all("ADD")
        for step in stage.all("RUN"):
            assert "sudo" not in step
            if "apt-get install" in step:
                assert step.startswith("apt-get update && apt-get install -y --no-install-recommends ")
                assert "rm -rf /var/lib/apt/lists/*" in step
        assert all(path.startswith("/") for path in stage.all("WORKDIR"))
    assert BUILD.name == "build"
    user, group = FINAL.only("USER").split(":")
    assert int(user) >= 10000
    assert int(group) >= 10000
    instructions = [word for word, _ in FINAL.steps]
    assert instructions.index("USER") > max(n for n, word in enumerate(instructions) if word in ("RUN", "COPY"))
    assert FINAL.words("ENTRYPOINT") == ["kannon"]
    assert FINAL.words("VOLUME") == ["/var/lib/kannon"]
    assert json.loads(FINAL.only("HEALTHCHECK").partition("CMD ")[2]) == ["kannon", "health"]


def test_what_is_for_applications_is_published_on_loopback_only(compose: dict[str, Any]) -> None:
    """It is in clear text, without access control, or not for strangers. Inside, it listens for other containers."""
    assert FINAL.env["KANNON_API__LISTEN"] == "0.0.0.0:50051"
    assert FINAL.env["KANNON_METRICS__LISTEN"] == "0.0.0.0:9090"
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    for file in ("packaging/Dockerfile", "README.md", "docs/operating.md"):
        text = (ROOT / file).read_text().replace("\\\n", " ")
        runs = re.findall(r"docker run [^\n`]*", text)
        assert runs, file
        ports += [port for run in runs for port in re.findall(r"-p (\S+)", run)]
    assert FINAL.env["KANNON_SUBMISSION__LISTEN"] == "0.0.0.0:2587"
    inner = {"50051", "9090", "2587"}
    published = [port for port in ports if port.rpartition(":")[2] in inner]
    assert {port.rpartition(":")[2] for port in published} == inner
    assert all(port.startswith("127.0.0.1:") for port in published), published


def test_the_build_context_contains_its_sources() -> None:
    """Every source of the executable is in the build context."""
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    makefile = (ROOT / "Makefile").read_text()
    packaged = re.search(r"^PACKAGED := ((?:.*\\\n)*.*)", makefile, re.M)
    assert packaged is not None
    for file in packaged[1].replace("\\\n", " ").split():
        assert (ROOT / file).exists()
        folders = [rule.removesuffix("**") for rule in allowed if rule.endswith("**")]
        assert file in allowed or any(file.startswith(folder) for folder in folders), file


@pytest.fixture
def image(copy: Machine, executable: Path) -> Machine:
    """The last stage's file system, on this machine instead of the base image."""
    copy.sh(
        "printf '#!/bin/sh\\n' > /usr/local/bin/apt-get && chmod +x /usr/local/bin/apt-get && rm -rf /usr/bin/apt-get"
    )
    bundle = executable.parent.parent / "build" / "bundle" / "kannon"
    for instruction, rest in FINAL.steps:
        if instruction == "RUN":
            copy.must("sh", "-ec", rest, env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})
        elif instruction == "COPY":
            source, target = rest.removeprefix("--from=build ").split()
            assert source == BUNDLE
            copy.put_folder(bundle, target)
    copy.sh("mount -t tmpfs -o uid=10001,gid=10001,mode=0700 tmpfs /var/lib/kannon")
    copy.sh("mount -o remount,ro,bind /proc && mount -o remount,ro /")
    return copy


def container(image: Machine, *command: str) -> list[str]:
    user, group = FINAL.only("USER").split(":")
    bare = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
    return image.command("env", f"--chdir={FINAL.only('WORKDIR')}", *bare, *FINAL.words("ENTRYPOINT"), *command)


@needs_root
async def test_the_image_serves_read_only_with_one_volume(image: Machine, tmp_path: Path) -> None:
    ports = {
        "API": free_port(),
        "BUMP": free_port(),
        "SMTP": free_port(),
        "SUBMISSION": free_port(),
        "METRICS": free_port(),
    }
    listens = {f"KANNON_{name}__LISTEN": f"127.0.0.1:{port}" for name, port in ports.items()}
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/var/lib/kannon", **FINAL.env, **listens}
    assert image.run("touch", "/usr/file").code != 0
    with (tmp_path / "log").open("wb") as log:
        started = subprocess.Popen(container(image, *FINAL.words("CMD")), env=env, stdout=log, stderr=log)
    try:
        with patience():
            while True:
                health = subprocess.run(container(image, "health"), env=env, capture_output=True, text=True)
                if health.returncode == 0:
                    break
                assert started.poll() is None, (tmp_path / "log").read_text()
                await anyio.sleep(0.1)
        assert health.stdout == "ok\n"
        added = subprocess.run(container(image, "domains", "add", "example.com"), env=env, capture_output=True)
        assert added.returncode == 0, added.stderr
        started.send_signal(signal.SIGTERM)
        assert started.wait(60) == 0
    finally:
        started.kill()
        started.wait()


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The parsed file; Debian's python3-yaml reads it, since Kannon has no YAML parser."""
    program = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))"
    read = subprocess.run(
        ["/usr/bin/python3", "-c", program], input=COMPOSE.read_text(), capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(read.stdout)
    return found


def test_compose_names_existing_components_keys_and_files(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["sender"]["deploy"]["replicas"] == 2
    for service in services.values():
        for other in service.get("depends_on", {}):
            assert "healthcheck" in services[other]
        for secret in service.get("secrets", []):
            assert (secret if isinstance(secret, str) else secret["source"]) in compose["secrets"]
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"]
        assert "build" in service or re.search(r":\d", service["image"])
    for name in ("kannon", "sender"):
        assert services[name]["read_only"]
        assert services[name]["cap_drop"] == ["ALL"]
        assert (COMPOSE.parent / services[name]["build"]["context"]).resolve() == ROOT
        assert (ROOT / services[name]["build"]["dockerfile"]).exists()


@pytest.fixture
async def box() -> AsyncIterator[Inbox]:
    async with inbox() as box:
        yield box


class Layout:
    """The processes of compose.yaml, with our addresses instead of container names."""

    def __init__(self, compose: dict[str, Any], folder: Path, postgres_url: str, nats_url: str, box: Inbox) -> None:
        self._services = compose["services"]
        self._folder = folder
        self._secrets = {"postgres_url": postgres_url, "admin_token": "secret", "master_key": MASTER_KEY}
        routes = [{"domain": "*", "host": "127.0.0.1", "port": box.port, "tls": "none"}]
        self._here = {"KANNON_NATS__URL": nats_url, "KANNON_SENDER__ROUTES": json.dumps(routes)}

    def start(self, service: str, name: str) -> Kannon:
        declared = self._services[service]
        credentials = self._folder / f"{name}-secrets"
        credentials.mkdir()
        for secret in declared.get("secrets", []):
            (credentials / secret["target"]).write_text(self._secrets[secret["source"]] + "\n")
        extra = {**declared["environment"], **self._here, "CREDENTIALS_DIRECTORY": str(credentials)}
        command, *arguments = declared["command"]
        assert command == "serve"
        return Kannon(self._folder / name, extra, arguments).start()


@pytest.fixture
def layout(compose: dict[str, Any], tmp_path: Path, empty_postgres_url: str, nats_url: str, box: Inbox) -> Layout:
    return Layout(compose, tmp_path, empty_postgres_url, nats_url, box)


async def test_the_layout_delivers_with_two_senders(layout: Layout, box: Inbox, tmp_path: Path) -> None:
    core = layout.start("kannon", "core")
    senders = [layout.start("sender", f"sender{n}") for n in range(2)]
    try:
        for process in (core, *senders):
            await process.ready()
            assert not (process.data_dir / "postgres").exists()
        client = Client(Channel("127.0.0.1", core.ports["api"]), "secret")
        await client.add_domain("example.com")
        recipients = [Recipient(email=f"reader{n}@inbox.test") for n in range(100)]
        await client.send(
            SendHTMLReq(sender=Sender(email="news@example.com"), subject="x", html="<p>x</p>", recipients=recipients)
        )
        assert set((await client.outcomes("example.com", 100)).values()) == {"delivered"}
        client.close()
        assert len(box.copies()) == 100
        for process in senders:
            health = Command(tmp_path, {**process.extra, "KANNON_METRICS__LISTEN": metrics_of(process)})
            assert (await health("health")).out == "ok\n"
        for process in (core, *senders):
            assert await process.stop() == 0
    finally:
        for process in (core, *senders):
            process.kill()
    health = Command(tmp_path, {**senders[0].extra, "KANNON_METRICS__LISTEN": metrics_of(senders[0])})
    gone = await health("health")
    assert (gone.code, gone.out) == (69, "")
    assert gone.err.startswith("kannon: metrics.listen: ")


def metrics_of(kannon: Kannon) -> str:
    found = re.search(r"^  metrics \(HTTP\) on (\S+)$", kannon.text(), re.M)
    assert found is not None, kannon.text()
    return found[1]
