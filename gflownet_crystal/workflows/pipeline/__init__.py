"""From a trained run to judged crystals, in stages that are kept on disk."""
