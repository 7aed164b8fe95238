"""The digital district: weather, measured series and plant physics of its own, behind real field servers."""
