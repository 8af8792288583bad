"""Hooks of the documentation site: figures that benchmarks drew are shown from where they lie."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add ``benchmarks/results/*.png``, which pages link to as on a disk: ``../benchmarks/results/NAME.png``."""
    for path in Path(config.docs_dir).parent.glob("benchmarks/results/*.png"):
        figure = File.generated(config, f"../benchmarks/results/{path.name}", abs_src_path=str(path))
        figure.inclusion = InclusionLevel.INCLUDED  # else what begins with a dot is left out
        figure.dest_uri = f"figures/{path.name}"
        files.append(figure)
    return files
