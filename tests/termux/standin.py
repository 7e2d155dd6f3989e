"""A fake of termux-api, am, curl and ssh for the simulated phone. It acts as the program whose name it is called by.

Strict: an option the real program does not have, or a value it would not take, is refused with exit
code 64. Every call is one line of JSON in the folder of the phone (``$TERMUX_PHONE``), where the
answers lie too: ``NAME.json`` ({"out", "code"}).
Only the standard library, so that it starts quickly.
"""

import getopt
import json
import os
import sys

NAME = os.path.basename(sys.argv[0])
ARGV = sys.argv[1:]
PHONE = os.environ["TERMUX_PHONE"]

NOTIFICATION = (
    "hc:i:t:",
    "action= alert-once button1= button1-action= button2= button2-action= button3= button3-action= channel= "
    "content= group= help help-actions icon= id= image-path= led-color= led-off= led-on= media-next= media-pause= "
    "media-play= media-previous= on-delete= ongoing priority= sound title= type= vibrate=",
)
JOB_SCHEDULER = (
    "hs:p",
    "script= job-id= pending cancel cancel-all period-ms= network= battery-not-low= storage-not-low= charging= "
    "persisted= trigger-content-uri= trigger-content-flag= help",
)
CURL = (
    "",
    "silent show-error fail location max-redirs= globoff netrc-optional proto= cacert= connect-timeout= max-time=",
)
SSH_OPTIONS = {"BatchMode", "ConnectTimeout", "ControlMaster", "ServerAliveCountMax", "ServerAliveInterval"}


def record(**more: object) -> None:
    with open(os.path.join(PHONE, "calls.jsonl"), "a") as calls:
        calls.write(json.dumps({"name": NAME, "argv": ARGV, **more}) + "\n")


def refuse(why: str) -> None:
    record(refused=why)
    sys.exit(64)


def options(table: tuple[str, str], operands: int) -> dict[str, str]:
    """The options in ``ARGV`` by their full names, beside exactly ``operands`` other words."""
    short, long = table
    try:
        found, rest = getopt.gnu_getopt(ARGV, short, long.split())
    except getopt.GetoptError as error:
        refuse(str(error))
        raise
    names = {name.rstrip("=") for name in long.split()}
    for word in ARGV:
        if word.startswith("--") and word[2:].partition("=")[0] not in names:
            refuse(f"{word}: an abbreviation")
    if len(rest) != operands:
        refuse(f"{len(rest)} operands instead of {operands}")
    return dict(found)


def notification() -> None:
    given = options(NOTIFICATION, 0)
    if given.get("--priority", "default") not in ("high", "low", "max", "min", "default"):
        refuse("priority")
    if "-c" not in given and "--content" not in given:
        refuse("no content: it would wait for standard input")


def job_scheduler() -> None:
    given = options(JOB_SCHEDULER, 0)
    script = given.get("--script", given.get("-s"))
    if script is None:
        return
    if not (os.path.isfile(script) and os.access(script, os.X_OK)):
        refuse("the script is not an executable file")
    if int(given.get("--period-ms", 0)) < 900_000:
        refuse("the period is below Android's 15 minutes")
    if given.get("--network", "any") not in ("any", "unmetered", "cellular", "not_roaming", "none"):
        refuse("network")
    if {given.get(name, "true") for name in ("--persisted", "--battery-not-low", "--charging")} - {"true", "false"}:
        refuse("not a boolean")


def dialog() -> None:
    if ARGV[:1] != ["sheet"]:
        refuse("not the widget that is used")
    try:
        given, rest = getopt.getopt(ARGV[1:], "t:v:")
    except getopt.GetoptError as error:
        refuse(str(error))
        raise
    if rest or not dict(given).get("-v"):
        refuse("values")


def ssh() -> None:
    try:
        given, rest = getopt.getopt(ARGV, "nto:")
    except getopt.GetoptError as error:
        refuse(str(error))
        raise
    if {value.partition("=")[0] for name, value in given if name == "-o"} - SSH_OPTIONS or len(rest) != 2:
        refuse("options or operands")


def operands(count: int) -> None:
    if len(ARGV) != count or any(word.startswith("-") for word in ARGV):
        refuse("operands")


CHECKS = {
    "termux-notification": notification,
    "termux-notification-remove": lambda: operands(1),
    "termux-toast": lambda: operands(1),
    "termux-open-url": lambda: operands(1),
    "termux-job-scheduler": job_scheduler,
    "termux-dialog": dialog,
    "termux-wake-lock": lambda: refuse("it keeps the processor awake, and no script may do that"),
    "am": lambda: None,
    "curl": lambda: options(CURL, 1),
    "ssh": ssh,
}

CHECKS[NAME]()
record()
try:
    with open(os.path.join(PHONE, f"{NAME}.json")) as file:
        answer = json.load(file)
except FileNotFoundError:
    answer = {"out": "", "code": 0}
if answer["code"] and NAME in ("curl", "ssh"):
    print(f"{NAME}: no answer today", file=sys.stderr)
sys.stdout.write(answer["out"])
sys.exit(answer["code"])
