"""Applies deploy/ to a Kubernetes API server, with Pod Security `restricted`: `make cluster`.

It starts one of its own, on this machine, where kube-apiserver and etcd are; or takes the cluster
that --kubeconfig names, which it changes. Exit status: 0, all is well or, with --if-there, there is
no API server; 1, something was refused or didn't start; 3, there is no API server.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.cluster import checks
from scripts.cluster.control_plane import NoCluster, NotStarted, find, kubectl, started

ROOT = Path(__file__).parents[2]
NO_CLUSTER = 3


def main() -> int:
    """Checks, prints a line for each check, and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.cluster", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, help="a cluster that may be changed")
    parser.add_argument(
        "--crds", type=Path, action="append", default=[], help="KServe's CRDs, to apply first"
    )
    parser.add_argument(
        "--if-there", action="store_true", help="no API server: say so and end with 0"
    )
    args = parser.parse_args()
    try:
        with _cluster(args.kubeconfig) as kubeconfig:
            version = kubectl(kubeconfig, "version", "--output=yaml").stdout
            line = [each.strip() for each in version.splitlines() if "gitVersion" in each][-1]
            print(f"API server: {line.partition(': ')[2]}")
            for path in args.crds:
                done = kubectl(kubeconfig, "apply", "--server-side", "--filename", str(path))
                if done.returncode:
                    raise checks.Refused(f"{path}: {done.stderr}")
            for line in checks.run(kubeconfig, ROOT / "deploy"):
                print(f"- {line}")
    except NoCluster as error:
        print(f"deploy/ was not applied to a cluster: {error}", file=sys.stderr)
        return 0 if args.if_there else NO_CLUSTER
    except (checks.Refused, NotStarted) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def _cluster(kubeconfig: Path | None) -> Iterator[Path]:
    if kubeconfig is not None:
        yield kubeconfig
        return
    programs = find()
    with (
        tempfile.TemporaryDirectory(prefix="cluster-") as home,
        started(programs, Path(home)) as new,
    ):
        yield new


if __name__ == "__main__":
    sys.exit(main())
