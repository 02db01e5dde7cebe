"""What is to be watched and when somebody is told: rules, scraping and dashboard, from one source."""

from appliance.manifests.monitoring import dashboard, rules, scraping


def files() -> dict[str, str]:
    """Texts by the names of the files that hold them."""
    return {
        "kleidi.rules.yaml": rules.plain(),
        "scrape.yaml": scraping.plain(),
        "prometheus-rule.yaml": rules.operators(),
        "scrape-config.yaml": scraping.operators(),
        "dashboard.json": dashboard.text(),
    }
