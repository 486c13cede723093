"""What the hardware of an RDS instance class is: vCPUs, memory, and which of its resources burst.

Source of vCPUs and memory: RDS User Guide, "Hardware specifications for DB instance classes"
(Concepts.DBInstanceClass.Summary); of EBS bursting: EC2 User Guide, "Amazon EBS-optimized instance types"
(baseline below maximum); of CPU credits: EC2 User Guide, "CPU credits and baseline utilization".
"""

from __future__ import annotations

from dataclasses import dataclass

PAGE = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Summary.html"


@dataclass(frozen=True, slots=True)
class InstanceClass:
    """One instance class.  ``memory`` is in GiB.

    ``ebs_bursts``: its EBS throughput lies above the baseline for a while only, so RDS publishes EBS balances.
    ``local_storage``: it has NVMe disks of its own.  ``burstable`` CPU earns credits; ``most_credits`` is the largest
    balance of a class that stops bursting at 0 (db.t2), None for one that bursts on for money (db.t3, db.t4g).
    """

    vcpus: int
    memory: float
    ebs_bursts: bool = False
    local_storage: bool = False
    burstable: bool = False
    most_credits: float | None = None


_TO_16 = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
_TO_24 = f"{_TO_16} 24xlarge"
_TO_32 = f"{_TO_24} 32xlarge"
_TO_48 = f"{_TO_24} 48xlarge"

# Family: GiB per vCPU, sizes, the largest size whose EBS bandwidth bursts.
_FAMILIES: dict[str, tuple[float, str, str]] = {
    "c6gd": (2, f"medium {_TO_16}", "2xlarge"),
    "m4": (4, "large xlarge 2xlarge 4xlarge 10xlarge 16xlarge", ""),
    "m5": (4, _TO_24, "2xlarge"),
    "m5d": (4, _TO_24, "2xlarge"),
    "m6g": (4, _TO_16, "2xlarge"),
    "m6gd": (4, _TO_16, "2xlarge"),
    "m6i": (4, _TO_32, "4xlarge"),
    "m6id": (4, _TO_32, "4xlarge"),
    "m6idn": (4, _TO_32, "4xlarge"),
    "m6in": (4, _TO_32, "4xlarge"),
    "m7g": (4, _TO_16, "4xlarge"),
    "m7i": (4, _TO_48, "4xlarge"),
    "m8a": (4, _TO_48, "4xlarge"),
    "m8g": (4, _TO_48, "4xlarge"),
    "m8gd": (4, _TO_48, "4xlarge"),
    "m8i": (4, f"{_TO_32} 48xlarge 96xlarge", "4xlarge"),
    "r4": (7.625, "large xlarge 2xlarge 4xlarge 8xlarge 16xlarge", ""),
    "r5": (8, _TO_24, "2xlarge"),
    "r5b": (8, _TO_24, "2xlarge"),
    "r5d": (8, _TO_24, "2xlarge"),
    "r6g": (8, _TO_16, "2xlarge"),
    "r6gd": (8, _TO_16, "2xlarge"),
    "r6i": (8, _TO_32, "4xlarge"),
    "r6id": (8, _TO_32, "4xlarge"),
    "r6idn": (8, _TO_32, "4xlarge"),
    "r6in": (8, _TO_32, "4xlarge"),
    "r7g": (8, _TO_16, "4xlarge"),
    "r7i": (8, _TO_48, "4xlarge"),
    "r8a": (8, _TO_48, "4xlarge"),
    "r8g": (8, _TO_48, "4xlarge"),
    "r8gd": (8, _TO_48, "4xlarge"),
    "r8i": (8, f"{_TO_32} 48xlarge 96xlarge", "4xlarge"),
    "x1": (15.25, "16xlarge 32xlarge", ""),
    "x1e": (30.5, "xlarge 2xlarge 4xlarge 8xlarge 16xlarge 32xlarge", ""),
    "x2g": (16, _TO_16, "2xlarge"),
    "x2idn": (16, "16xlarge 24xlarge 32xlarge", ""),
    "x2iedn": (32, "xlarge 2xlarge 4xlarge 8xlarge 16xlarge 24xlarge 32xlarge", "4xlarge"),
    "x2iezn": (32, "2xlarge 4xlarge 6xlarge 8xlarge 12xlarge", ""),
    "z1d": (8, "large xlarge 2xlarge 3xlarge 6xlarge 12xlarge", "xlarge"),
}

# Families with NVMe disks that RDS uses.
_LOCAL_STORAGE = frozenset(
    ("c6gd", "m5d", "m6gd", "m6id", "m6idn", "m8gd", "r5d", "r6gd", "r6id", "r6idn", "r8gd", "x2idn", "x2iedn")
)

# Size: vCPUs of db.t2, vCPUs of db.t3 and db.t4g, GiB, the largest credit balance of db.t2.
_BURSTABLE: dict[str, tuple[int, int, float, float]] = {
    "micro": (1, 2, 1, 144),
    "small": (1, 2, 2, 288),
    "medium": (2, 2, 4, 576),
    "large": (2, 2, 8, 864),
    "xlarge": (4, 4, 16, 1296),
    "2xlarge": (8, 8, 32, 1958.4),
}


def instance_class(name: str) -> InstanceClass | None:
    """The hardware of ``"db.r6g.large"``; None for a class that is not in the table.

    Classes with their own number of threads or memory (``….tpc2.mem4x``), metal and ``db.serverless`` are not.
    """
    prefix, _, rest = name.partition(".")
    family, _, size = rest.partition(".")
    if prefix != "db":
        return None
    if family in ("t2", "t3", "t4g"):
        if size not in _BURSTABLE:
            return None
        old, new, memory, credit = _BURSTABLE[size]
        if family == "t2":
            return InstanceClass(old, memory, burstable=True, most_credits=credit)
        return InstanceClass(new, memory, ebs_bursts=True, burstable=True)
    if family not in _FAMILIES:
        return None
    per_vcpu, sizes, largest_burst = _FAMILIES[family]
    if size not in sizes.split():
        return None
    vcpus = _vcpus(size)
    return InstanceClass(
        vcpus=vcpus,
        memory=vcpus * per_vcpu,
        ebs_bursts=bool(largest_burst) and vcpus <= _vcpus(largest_burst),
        local_storage=family in _LOCAL_STORAGE,
    )


def _vcpus(size: str) -> int:
    """A large has 2 vCPUs, an xlarge 4, an Nxlarge N times 4."""
    if size in ("medium", "large"):
        return 1 if size == "medium" else 2
    return 4 * int(size.removesuffix("xlarge") or 1)
