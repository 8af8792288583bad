"""Files and what lies in them: frames, photographs, videos; and how they are written so that a kill spoils none."""
