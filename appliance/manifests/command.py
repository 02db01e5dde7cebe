"""`kleidi` on the node itself: a few lines of sh that run it in its container, whoever runs that."""

from string import Template

from appliance import faults
from appliance.faults import Fault

NAME = "kleidi"
PATH = "/usr/local/bin/kleidi"

# POSIX sh and nothing but its builtins: a node's system may have little more, and every call passes here.
_TEXT = Template(r"""#!/bin/sh
# Written by `kleidi manifests`: runs kleidi in its container on this machine.
set -eu

name=kleidi
rke2=/var/lib/rancher/rke2

there() {
  case $$1 in
    rke2) [ -x "$$rke2/bin/crictl" ] ;;
    *) command -v "$$1" >/dev/null 2>&1 ;;
  esac
}

call() {
  runtime=$$1
  shift
  case $$runtime in
    rke2) "$$rke2/bin/crictl" --config "$$rke2/agent/etc/crictl.yaml" "$$@" ;;
    k3s) k3s crictl "$$@" ;;
    *) "$$runtime" "$$@" ;;
  esac
}

running() {
  case $$1 in
    podman | docker) call "$$1" ps --quiet --no-trunc --filter "name=^$$name\$$" ;;
    *) call "$$1" ps --quiet --name "^$$name\$$" --label io.kubernetes.pod.namespace=kube-system ;;
  esac 2>/dev/null </dev/null || true
}

# Left alone, crictl tries one socket after the other, and says so each time.
if [ ! -e /etc/crictl.yaml ] && [ -z "$${CONTAINER_RUNTIME_ENDPOINT:-}" ]; then
  for socket in /run/containerd/containerd.sock /run/crio/crio.sock /run/cri-dockerd.sock; do
    if [ -S "$$socket" ]; then
      export CONTAINER_RUNTIME_ENDPOINT="unix://$$socket"
      break
    fi
  done
fi

asked=
container=
for runtime in rke2 k3s crictl podman docker; do
  there "$$runtime" || continue
  asked="$${asked:+$$asked, }$$runtime"
  container=$$(running "$$runtime")
  [ -z "$$container" ] || break
done

case $$container in
  "")
    echo "kleidi: $none ($$name; asked: $${asked:-nobody, for none of crictl, podman, docker is here})" >&2
    exit $none_exit
    ;;
  *"
"*)
    echo "kleidi: $several ($$name, by $$runtime)" >&2
    exit $several_exit
    ;;
esac

terminal=
if [ -t 0 ] && [ -t 1 ]; then terminal=-t; fi
case $$runtime in
  podman | docker) exec "$$runtime" exec -i $$terminal "$$container" kleidi "$$@" ;;
esac

# crictl ends with 1 whatever kleidi ended with, and tells the code in words, on a line of its own.
exec 3>&1
{
  call "$$runtime" exec -i $$terminal "$$container" kleidi "$$@" 2>&1 >&3 3>&- || echo "crictl ended with $$?"
} | {
  code=0
  while IFS= read -r line; do
    case $$line in
      *"command terminated with exit code "[0-9]*)
        code=$${line##*command terminated with exit code }
        code=$${code%%[!0-9]*}
        ;;
      "crictl ended with "*) [ "$$code" != 0 ] || code=$${line##* } ;;
      *) printf '%s\n' "$$line" >&2 ;;
    esac
  done
  exit "$$code"
}
""")


def text() -> str:
    return _TEXT.substitute(
        none=_quoted(faults.CONTAINER_NONE),
        none_exit=faults.CONTAINER_NONE.exit.value,
        several=_quoted(faults.CONTAINER_SEVERAL),
        several_exit=faults.CONTAINER_SEVERAL.exit.value,
    )


def _quoted(fault: Fault) -> str:
    """As it stands between double quotes of a shell."""
    return "".join(f"\\{sign}" if sign in '\\"$`' else sign for sign in str(fault))
