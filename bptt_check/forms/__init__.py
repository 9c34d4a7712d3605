"""The forms in which backward passes come, one file each; every one ends as a :class:`bptt_check.Subject`."""
