"""Switches live.json between the versions in a folder: all that astern needs of a driver (see docs/jsonexec.md)."""
import hashlib, json, os, sys

def running(config):
    return os.path.basename(os.readlink(config["live"])).removesuffix(".json") if os.path.lexists(config["live"]) else ""

def observe(config, step):
    content = {n: open(os.path.join(config["versions"], n), "rb").read() for n in os.listdir(config["versions"])}
    return {"revision": running(config), "revisions": {
        n.removesuffix(".json"): {"hash": hashlib.sha256(b).hexdigest()} for n, b in content.items() if n.endswith(".json")}}

def start(config, step):
    version, new = os.path.join(config["versions"], step["args"]["revision"] + ".json"), config["live"] + ".new"
    json.load(open(version))  # a file that is not JSON, or not there, never goes live
    if os.path.lexists(new):  # left by a start that was killed
        os.remove(new)
    os.symlink(version, new)
    os.replace(new, config["live"])  # the one effect, and the last thing that can fail
    return {"status": "done"}

def find(config, step):
    return {"answer": "yes" if running(config) == step["args"]["revision"] else "no"}

request = json.load(sys.stdin)
try:
    call = {"observe": observe, "start": start, "find": find}[request["call"]]
    answer = {"ok": call(request["component"]["config"], request.get("step"))}
except (OSError, ValueError) as e:  # nothing was changed
    answer = {"error": {"code": "unavailable" if request["call"] == "observe" else "refused", "message": str(e)}}
print(json.dumps({"astern": 1, **answer}))
