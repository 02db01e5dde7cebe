"""supervisord without its web server: nobody asks it anything, and that is half of what it imports.

`supervisor.compat` gathers the names that all of supervisor needs, and `supervisor.options` imports
`supervisor.xmlrpc` for supervisorctl's sake: HTTP, XML-RPC, TLS, e-mail, HTML, package metadata. Both are in
place already when what supervises asks for them, with the names that it uses and no others.
"""

import configparser
import io
import sys
import urllib.parse
from types import ModuleType

_COMPAT = "supervisor.compat"
_XMLRPC = "supervisor.xmlrpc"


def stand_in() -> None:
    """To be called before anything of supervisor is imported."""
    compat = {
        "PY2": False,
        "ConfigParser": configparser,
        "StringIO": io.StringIO,
        "as_bytes": _as_bytes,
        "as_string": _as_string,
        "basestring": str,
        "import_spec": None,  # plug-ins: none is configured
        "is_text_stream": None,  # a log of supervisord's own, which appliance/output.py writes
        "long": int,
        "maxint": sys.maxsize,
        "syslog": None,
        "urlparse": urllib.parse,
        "xmlrpclib": None,
    }
    for name, names in ((_COMPAT, compat), (_XMLRPC, {})):
        module = ModuleType(name, __doc__)
        vars(module).update(names)
        sys.modules[name] = module


def _as_bytes(text: str | bytes, encoding: str = "utf8") -> bytes:
    return text if isinstance(text, bytes) else text.encode(encoding)


def _as_string(data: str | bytes, encoding: str = "utf8") -> str:
    return data if isinstance(data, str) else data.decode(encoding)
