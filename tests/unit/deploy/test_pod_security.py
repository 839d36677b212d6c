"""tests/support/pod_security.py sees what Pod Security `restricted` forbids, and nothing else."""

import copy

import pytest

from tests.support.pod_security import violations

LOCKED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
POD = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "initContainers": [{"name": "first", "image": "image", "securityContext": LOCKED}],
    "containers": [{"name": "main", "image": "image", "securityContext": LOCKED}],
}


def changed(where, **fields):
    """The pod with fields set: of itself, or of a container (`main`), or of either's context."""
    pod = copy.deepcopy(POD)
    name, _, context = where.partition(".")
    target = pod
    if name != "pod":
        (target,) = (
            each for each in pod["containers"] + pod["initContainers"] if each["name"] == name
        )
    if context:
        target = target["securityContext"]
    for field, value in fields.items():
        if value is None:
            target.pop(field)
        else:
            target[field] = value
    return pod


ALLOWED = [
    changed("pod"),
    changed("pod", shareProcessNamespace=True, hostUsers=False),
    changed("pod", volumes=[{"name": "v", "emptyDir": {}}, {"name": "w"}]),
    changed("pod.context", sysctls=[{"name": "net.ipv4.tcp_rmem", "value": "1"}]),
    changed("pod.context", seLinuxOptions={"type": "container_t", "level": "s0"}),
    changed("pod.context", seccompProfile={"type": "Localhost", "localhostProfile": "a"}),
    changed("main.context", capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
    changed("main.context", runAsUser=1000, privileged=False, procMount="Default"),
    changed("main", ports=[{"containerPort": 80, "hostPort": 0}]),
    changed("main", readinessProbe={"httpGet": {"port": 80}}),
]

FORBIDDEN = [
    (changed("pod", hostNetwork=True), "hostNetwork"),
    (changed("pod", hostPID=True), "hostPID"),
    (changed("pod", hostIPC=True), "hostIPC"),
    (changed("pod", volumes=[{"name": "v", "hostPath": {"path": "/"}}]), "hostPath"),
    (changed("pod", volumes=[{"name": "v", "nfs": {}}]), "nfs"),
    (changed("pod", os={"name": "windows"}), "Windows"),
    (changed("pod.context", sysctls=[{"name": "kernel.msgmax", "value": "1"}]), "kernel.msgmax"),
    (changed("pod.context", seLinuxOptions={"user": "u"}), "seLinuxOptions"),
    (changed("pod.context", seLinuxOptions={"type": "spc_t"}), "seLinuxOptions"),
    (changed("pod.context", runAsUser=0), "user 0"),
    (changed("pod.context", runAsNonRoot=False), "runAsNonRoot"),
    (changed("pod.context", runAsNonRoot=None), "may run as root"),
    (changed("pod.context", seccompProfile=None), "no seccompProfile"),
    (changed("pod.context", seccompProfile={"type": "Unconfined"}), "Unconfined"),
    (changed("pod.context", appArmorProfile={"type": "Unconfined"}), "appArmorProfile"),
    (changed("pod.context", windowsOptions={"hostProcess": True}), "hostProcess"),
    (changed("main.context", runAsUser=0), "container main runs as user 0"),
    (changed("main.context", runAsNonRoot=False), "runAsNonRoot to false"),
    (changed("main.context", privileged=True), "privileged"),
    (changed("main.context", allowPrivilegeEscalation=None), "allowPrivilegeEscalation"),
    (changed("first.context", allowPrivilegeEscalation=True), "container first"),
    (changed("main.context", capabilities=None), "drop ALL"),
    (changed("main.context", capabilities={"drop": ["NET_RAW"]}), "drop ALL"),
    (changed("main.context", capabilities={"drop": ["ALL"], "add": ["CHOWN"]}), "adds"),
    (changed("main.context", seccompProfile={"type": "Unconfined"}), "Unconfined"),
    (changed("main.context", procMount="Unmasked"), "Unmasked"),
    (changed("first", securityContext=None), "container first"),
    (changed("main", ports=[{"containerPort": 80, "hostPort": 80}]), "host's port 80"),
    (changed("main", livenessProbe={"httpGet": {"host": "a", "port": 80}}), "asks the host a"),
    (changed("main", lifecycle={"preStop": {"tcpSocket": {"host": "b"}}}), "asks the host b"),
]


@pytest.mark.parametrize("pod", ALLOWED)
def test_a_locked_down_pod_is_admitted(pod):
    assert violations(pod) == []


@pytest.mark.parametrize(("pod", "word"), FORBIDDEN, ids=[word for _, word in FORBIDDEN])
def test_what_is_forbidden_is_named(pod, word):
    assert any(word in line for line in violations(pod)), violations(pod)


def test_annotations_of_app_armor_are_looked_at():
    name = "container.apparmor.security.beta.kubernetes.io/main"
    assert violations(POD, {name: "runtime/default", "other": "unconfined"}) == []
    assert violations(POD, {name: "unconfined"}) == [f"annotation {name} is 'unconfined'"]
