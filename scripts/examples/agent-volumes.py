#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""agent-volumes.py [SOCKET [NAME...]]: what envelope-agent(8) says of volumes,
all of one's own without a NAME. Varlink is a JSON object and a NUL each way.
"""
import json
import socket
import sys


def call(agent, method, **parameters):
    agent.sendall(json.dumps({"method": f"io.envelope.Agent.{method}",
                              "parameters": parameters}).encode() + b"\0")
    answer = b""
    while not answer.endswith(b"\0"):
        part = agent.recv(65536)
        if not part:
            sys.exit("the agent has ended the connection")
        answer += part
    return json.loads(answer[:-1])


with socket.socket(socket.AF_UNIX) as connection:
    connection.connect((sys.argv + ["/run/envelope/agent.sock"])[1])
    names = sys.argv[2:] or [volume["name"] for volume in call(
        connection, "List")["parameters"]["volumes"]]
    for name in names:
        print(json.dumps(call(connection, "Status", name=name)))
