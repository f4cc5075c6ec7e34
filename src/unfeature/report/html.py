"""The pages' templates: everything put into them is escaped."""

from jinja2 import Environment, PackageLoader, Template, select_autoescape


def template(name: str) -> Template:
    """One of the files in `templates/`."""
    environment = Environment(
        loader=PackageLoader("unfeature.report"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
