"""Report to exposition: metric definitions, labels, rendering, textfile and Pushgateway."""
