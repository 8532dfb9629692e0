"""The trio part: listeners, pulls, publishing, scheduling, NOTIFY, one nursery tree."""
