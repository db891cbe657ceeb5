"""Report: tables, figures, claims and the trace viewer. Reads rows and traces, never decodes."""
