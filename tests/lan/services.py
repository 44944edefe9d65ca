"""Hears and says services by Python's zeroconf: `services.py hear TYPE` tells of those with two addresses,
`services.py say NAME ADDRESS PORT KEY=VALUE...` makes one up."""

import json
import socket
import sys
import threading

from zeroconf import IPVersion, ServiceBrowser, ServiceInfo, ServiceListener, Zeroconf

TYPE = "_brutus-share._tcp.local."


class Listener(ServiceListener):
    def add_service(self, zc, kind, name):
        info = zc.get_service_info(kind, name)
        if len(info.addresses_by_version(IPVersion.All)) < 2:
            return
        said = {key.decode(): value.decode() for key, value in info.properties.items()}
        event = {"known": name, "port": info.port, "addresses": info.parsed_addresses(), "said": said}
        print(json.dumps(event), flush=True)

    update_service = add_service

    def remove_service(self, zc, kind, name):
        print(json.dumps({"removed": name}), flush=True)


zeroconf = Zeroconf(ip_version=IPVersion.All)
if sys.argv[1] == "hear":
    browser = ServiceBrowser(zeroconf, sys.argv[2], Listener())
    print("hearing", flush=True)
else:
    name, address, port, *said = sys.argv[2:]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    info = ServiceInfo(
        TYPE,
        f"{name}.{TYPE}",
        addresses=[socket.inet_pton(family, address)],
        port=int(port),
        properties=dict(pair.split("=", 1) for pair in said),
        server=f"impostor-{port}.local.",
    )
    # Without asking whether somebody has the name.
    zeroconf.register_service(info, cooperating_responders=True)
    print("said", flush=True)
threading.Event().wait()
