"""Report → Prometheus exposition, for ``/metrics``, textfiles and Pushgateways."""
