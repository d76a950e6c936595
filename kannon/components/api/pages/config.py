"""/config: what is in force at the server that answers, without its secrets; and the processes of all servers."""

from starlette.responses import Response

from kannon.components.api.pages.overview import gathered_nodes
from kannon.components.api.pages.place import Place
from kannon.pb.admin.v1 import nodes_pb2 as pb


async def show(place: Place) -> Response:
    config = await place.call("Nodes.GetConfig", pb.GetConfigRequest())
    return place.show("config.html", config=config, nodes=gathered_nodes(place).latest())


PAGES = {"/config": show}
