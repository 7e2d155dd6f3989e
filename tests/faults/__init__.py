"""What goes wrong around us: networks, disks, files, clocks, other processes. Alarms must arrive all the same."""
