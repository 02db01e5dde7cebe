"""Where the numbers are read: for the Prometheus operator, and for a Prometheus without one."""

# Where KLEIDI_HTTP is shown to listen; none of the ports that a control plane or an exporter has by default.
ADDRESS = "127.0.0.1:9643"
JOB = "kleidi"

_HEAD = """\
# Written by `kleidi manifests monitoring`. It reads what KLEIDI_HTTP={address} serves, which only programs on
# the node's own network reach: a Prometheus or an agent there. Each node then needs a name of its own as
# `instance`; elsewhere take the file of `kleidi-probe --metrics`. docs/monitoring.md says how.
"""
_OPERATOR = """\
apiVersion: monitoring.coreos.com/v1alpha1
kind: ScrapeConfig
metadata:
  name: kleidi
spec:
  jobName: {job}
  metricsPath: /metrics
  scrapeInterval: 15s
  scrapeTimeout: 5s
  staticConfigs:
  - targets:
    - {address}
"""
_PLAIN = """\
scrape_configs:
- job_name: {job}
  metrics_path: /metrics
  scrape_interval: 15s
  scrape_timeout: 5s
  static_configs:
  - targets:
    - {address}
"""


def operators() -> str:
    return (_HEAD + _OPERATOR).format(address=ADDRESS, job=JOB)


def plain() -> str:
    """For `scrape_config_files`, or to be copied into prometheus.yml."""
    return (_HEAD + _PLAIN).format(address=ADDRESS, job=JOB)
