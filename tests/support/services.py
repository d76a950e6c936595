"""Every service that the protos define: tests of the server, the documents, the credentials and the parsers use this
list."""

import pkgutil
from importlib import import_module

from google.protobuf.descriptor import ServiceDescriptor

import kannon.pb

SERVICES: list[ServiceDescriptor] = [
    service
    for module in pkgutil.walk_packages(kannon.pb.__path__, "kannon.pb.")
    if module.name.endswith("_pb2")
    for service in import_module(module.name).DESCRIPTOR.services_by_name.values()
]
OPEN = "pkg.kannon.admin.apiv1.HZService"
MAILER = "pkg.kannon.mailer.apiv1.Mailer"
