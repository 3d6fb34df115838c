"""The `bus` commands: write a server's configuration with roles, and try a bus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from options_helper.commands.common_options import DeskOption, JsonOption
from options_helper.commands.help_style import plain_typer

bus = plain_typer(
    name="bus",
    help="Set up a bus beyond this computer: keys by role, a server's configuration, a look at both.",
    no_args_is_help=True,
)


@bus.command()
def config(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", file_okay=False, help="The folder for the configuration and the seeds."
        ),
    ],
    *,
    viewer: Annotated[
        list[str] | None,
        typer.Option("--viewer", metavar="NAME", help="One that sees prices only; may be repeated."),
    ] = None,
    account_viewer: Annotated[
        list[str] | None,
        typer.Option(
            "--account-viewer",
            metavar="NAME[=ACCOUNT]",
            help="One that sees positions, orders and fills too: of the desk's own account, or of those named "
            "(ira,roth), or of all.",
        ),
    ] = None,
    recorder: Annotated[
        list[str] | None,
        typer.Option(
            "--recorder", metavar="NAME", help="One that records market data from wherever it stopped."
        ),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help="Where the server listens; anything but this computer needs --cert and --key.",
            show_default="127.0.0.1:4222",
        ),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option("--cert", metavar="FILE", dir_okay=False, help="The server's certificate, as PEM."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", dir_okay=False, help="The key that it was made with."),
    ] = None,
    desk: Annotated[
        str | None,
        typer.Option("--desk", metavar="NAME", help="The desk; a name you choose.", show_default="desk"),
    ] = None,
    revoke: Annotated[
        list[str] | None,
        typer.Option("--revoke", metavar="NAME", help="Admit this one no longer; may be repeated."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write a configuration that is there again; its users stay.")
    ] = False,
) -> None:
    """Write a NATS server's configuration with roles for a desk, and a secret file for each user.

    There is always an owner, which alone publishes. Every other computer gets a user of its own, so that one can be
    revoked. The server learns public keys only: a user's secret, its seed, is in NAME.seed, readable by you alone, and
    goes to that user's computer, where OH_BUS_SEED_FILE names it.

    Nothing that is there is overwritten without --overwrite; with it, the configuration is written again with all users
    that it names, each with the seed it has, those that are new, and without those that are revoked. What is not said
    stays as it was. A server that runs reads its configuration again on SIGHUP.

    Nothing is connected to and nothing is started. What to do next is said at the end.
    """
    from options_helper.bus.roles import Role
    from options_helper.commands.bus_config import ConfigRequest, account_viewer_of, told, write_config

    viewers = [account_viewer_of(text) for text in account_viewer or ()]
    account_viewers = [name for name, _ in viewers]
    named = ((Role.VIEWER, viewer), (Role.ACCOUNT_VIEWER, account_viewers), (Role.RECORDER, recorder))
    written = write_config(
        ConfigRequest(
            folder,
            desk=desk,
            listen=listen,
            certificate=certificate,
            key=key,
            roles=[(name, role) for role, names in named for name in names or ()],
            accounts=dict(viewers),
            revoked=revoke or (),
            overwrite=overwrite,
        )
    )
    for line in told(written):
        typer.echo(line)


@bus.command()
def check(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="tls://HOST:PORT, or nats://127.0.0.1:PORT on this computer.")
    ],
    *,
    desk: DeskOption = "desk",
    as_json: JsonOption = False,
) -> None:
    """Try a bus with this computer's seed, and say what to do where something is not well.

    Does it answer, does it begin with TLS with a certificate that is trusted here, is the server new enough, does
    somebody serve the desk, and may this computer do what its role says, and nothing else? The rights are tried one by
    one, with messages that are empty and that nobody stores. OH_BUS_SEED_FILE names the seed and OH_BUS_CA_FILE the
    certificate of whoever signed the server's; both may stand in config/alpaca.env.

    Exit codes: 0, all well, or warnings only; 1, something failed; 2, an option or a setting.
    """
    from options_helper.commands.bus_check import run_check
    from options_helper.commands.bus_request import asked_bus

    raise typer.Exit(run_check(asked_bus(url, desk), as_json=as_json))
