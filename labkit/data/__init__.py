"""Data files that ship with labkit: a trained network and the images it is judged by; see PROVENANCE.md."""
