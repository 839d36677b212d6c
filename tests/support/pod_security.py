"""What Kubernetes' Pod Security Standard `restricted` forbids, for pods of Linux.

Source of the rules: https://kubernetes.io/docs/concepts/security/pod-security-standards/, as of
1.37; the sysctls that are safe are those of 1.33. What it relaxes for pods of Windows and for those
in a user namespace isn't relaxed here. Ephemeral containers, which no manifest has, aren't judged.
"""

VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image"),
    *("persistentVolumeClaim", "projected", "secret"),
}
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}
SELINUX_TYPES = {
    *("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"),
}
PROFILES = {"RuntimeDefault", "Localhost"}
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"


def violations(spec, annotations=None):
    """Returns what a pod does that `restricted` forbids, a line each; none: it is admitted."""
    context = spec.get("securityContext") or {}
    found = [*_of_pod(spec, context), *_of_contexts(context, "the pod")]
    for name, value in (annotations or {}).items():
        if name.startswith(APP_ARMOR) and not _is_app_armor(value):
            found.append(f"annotation {name} is {value!r}")
    for container in [*spec.get("initContainers", ()), *spec.get("containers", ())]:
        found += _of_container(container, context)
    return found


def _of_pod(spec, context):
    if (spec.get("os") or {}).get("name") == "windows":
        yield "the pod is one of Windows, which isn't judged here"
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield f"{name} is true"
    for volume in spec.get("volumes", ()):
        # A volume without a source is an emptyDir.
        kinds = {kind for kind in volume if kind != "name"} or {"emptyDir"}
        if not kinds <= VOLUMES:
            yield f"volume {volume['name']} is a {', '.join(sorted(kinds))}"
    for sysctl in context.get("sysctls", ()):
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']}"


def _of_contexts(context, who):
    """What a pod and a container may both set."""
    if context.get("runAsUser") == 0:
        yield f"{who} runs as user 0"
    if context.get("runAsNonRoot") is False:
        yield f"{who} sets runAsNonRoot to false"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield f"{who} sets windowsOptions.hostProcess"
    for field in ("seccompProfile", "appArmorProfile"):
        profile = context.get(field)
        if profile is not None and profile.get("type") not in PROFILES:
            yield f"{who} has the {field} {profile.get('type')!r}"
    selinux = context.get("seLinuxOptions") or {}
    if selinux.get("type", "") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield f"{who} sets seLinuxOptions"


def _of_container(container, pod_context):
    who = f"container {container['name']}"
    context = container.get("securityContext") or {}
    yield from _of_contexts(context, who)
    if context.get("privileged"):
        yield f"{who} is privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{who} doesn't set allowPrivilegeEscalation to false"
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()):
        yield f"{who} doesn't drop ALL capabilities"
    if set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
        yield f"{who} adds capabilities"
    if context.get("procMount", "Default") not in ("", "Default"):
        yield f"{who} has the procMount {context['procMount']!r}"
    if context.get("runAsNonRoot") is None and not pod_context.get("runAsNonRoot"):
        yield f"{who} may run as root: neither it nor the pod sets runAsNonRoot"
    if not context.get("seccompProfile") and not pod_context.get("seccompProfile"):
        yield f"{who} has no seccompProfile, and the pod has none"
    for port in container.get("ports", ()):
        if port.get("hostPort"):
            yield f"{who} takes the host's port {port['hostPort']}"
    for handler, action in _handlers(container):
        if action.get("host"):
            yield f"{who} asks the host {action['host']} by its {handler}"


def _handlers(container):
    """Probes and lifecycle hooks that go over the network."""
    found = {name: container.get(name) for name in container if name.endswith("Probe")}
    found.update(container.get("lifecycle") or {})
    for name, handler in found.items():
        for kind in ("httpGet", "tcpSocket"):
            action = (handler or {}).get(kind) if isinstance(handler, dict) else None
            if action:
                yield name, action


def _is_app_armor(value):
    return value in ("", "runtime/default") or value.startswith("localhost/")
