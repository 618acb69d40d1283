"""Holds the objects of packaging/kubernetes against the schema of Kubernetes's API, with no field too many.

What a Helm chart makes of our values is its own; the parts of a pod that it takes over as they are, are put into one here.
"""

import sys

import kubernetes_validate
import yaml


def of_values(values):
    """The DaemonSet that the chart for Fluent Bit makes: names are its own, the rest is ours."""
    labels = {"app.kubernetes.io/name": "fluent-bit"}
    image = values["image"]
    container = {
        "name": "fluent-bit",
        "image": f"{image['repository']}:{image['tag']}",
        "imagePullPolicy": image["pullPolicy"],
        "command": ["/fluent-bit/bin/fluent-bit"],
        "args": ["--workdir=/fluent-bit/etc", "--config=/fluent-bit/etc/conf/fluent-bit.conf"],
        "ports": [{"name": "http", "containerPort": 2020, "protocol": "TCP"}],
        "volumeMounts": [{"name": "config", "mountPath": "/fluent-bit/etc/conf"}]
        + values["daemonSetVolumeMounts"]
        + values["extraVolumeMounts"],
    }
    for key in ["securityContext", "env", "livenessProbe", "readinessProbe", "resources"]:
        container[key] = values[key]
    pod = {
        "securityContext": values["podSecurityContext"],
        "terminationGracePeriodSeconds": values["terminationGracePeriodSeconds"],
        "tolerations": values["tolerations"],
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "flb-fluent-bit"}}]
        + values["daemonSetVolumes"]
        + values["extraVolumes"],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "flb-fluent-bit"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def main(objects, values):
    with open(objects) as file:
        documents = list(yaml.safe_load_all(file))
    with open(values) as file:
        documents.append(of_values(yaml.safe_load(file)))
    version = kubernetes_validate.latest_version()
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)
        print(document["kind"], document["metadata"]["name"], "is what the API takes")


main(*sys.argv[1:])
