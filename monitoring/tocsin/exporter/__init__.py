"""The exporter: promises, budgets, burn rates and alarm states for Prometheus."""
