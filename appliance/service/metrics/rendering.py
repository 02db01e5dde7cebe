"""Samples as text in Prometheus' format. The library is imported here alone: who never asks does not pay."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import core, exposition
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from appliance.service.metrics.table import Kind, Metric, Sample, every
from appliance.telemetry.counts import BOUNDS, Calls

FORM = exposition.CONTENT_TYPE_PLAIN_0_0_4
_BOUNDS = [*map(str, BOUNDS), "+Inf"]


def rendered(samples: Iterable[Sample]) -> str:
    """Every metric of the table, whether there is a sample of it or not."""
    families = {metric: _family(metric) for metric in every()}
    for sample in samples:
        _add(families[sample.metric], sample)
    return exposition.generate_latest(_Collected(list(families.values()))).decode()


@dataclass(frozen=True)
class _Collected(Collector):
    families: list[Family]

    def collect(self) -> Iterator[Family]:
        yield from self.families


def _family(metric: Metric) -> Family:
    kinds = {
        Kind.COUNTER: core.CounterMetricFamily,
        Kind.GAUGE: core.GaugeMetricFamily,
        Kind.HISTOGRAM: core.HistogramMetricFamily,
    }
    family: Family = kinds[metric.kind](metric.name, metric.help, labels=metric.labels)
    return family


def _add(family: Family, sample: Sample) -> None:
    match family, sample.value:
        case core.HistogramMetricFamily(), Calls(taken=taken, seconds=seconds):
            counts = map(float, accumulate(taken))
            family.add_metric(sample.labels, list(zip(_BOUNDS, counts, strict=True)), seconds)
        case ((core.CounterMetricFamily() | core.GaugeMetricFamily()), (float() | int()) as value):
            family.add_metric(sample.labels, value)
