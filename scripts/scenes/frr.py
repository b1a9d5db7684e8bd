"""Daemons of FRR in a host of a scene."""
import os
import shutil
import time


def daemon(net, router, name, configuration=""):
    """Starts one; its process."""
    folder = f"{net.folder}/frr.{router.name}"
    os.makedirs(folder, exist_ok=True)
    file = f"{folder}/{name}.conf"
    with open(file, "w") as text:
        text.write(configuration)
    os.chmod(net.folder, 0o755)
    for path in (folder, file):
        shutil.chown(path, "frr", "frr")
    line = f"/usr/lib/frr/{name} -u frr -g frr -f {file} -i {folder}/{name}.pid -z {folder}/zserv --vty_socket {folder} --log file:{folder}/{name}.log -P 0"
    process = router.start(line)
    time.sleep(1)
    return process


def tell(net, router, name, *commands):
    words = [word for command in commands for word in ("-c", command)]
    return router.run(["vtysh", "--vty_socket", f"{net.folder}/frr.{router.name}", "-d", name, *words])
