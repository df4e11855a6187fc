"""Plans where AI model-serving workloads run: failover-ready, at the lowest cost, with a proof."""

__version__ = "0.1.0"
