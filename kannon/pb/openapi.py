"""Generated from proto/ by tools/gen_pb.py; never edited."""
DOCUMENT = r"""{
 "openapi": "3.1.0",
 "info": {
  "title": "Kannon",
  "version": "1",
  "description": "Each call is a POST with a JSON object. Field names may also be written as in the protos (snake_case). An unknown field\nis refused. An error is an object with `code` and `message`. The same calls are there over gRPC, Connect and\ngRPC-Web, on the same port."
 },
 "servers": [
  {
   "url": "/"
  }
 ],
 "tags": [
  {
   "name": "kannon.StatsApiV1",
   "description": ""
  },
  {
   "name": "kannon.admin.v1.Audit",
   "description": "Who changed what, through every way in: the API, the command, the pages. Kept for a year. Needs the admin token or the viewer token."
  },
  {
   "name": "kannon.admin.v1.Destinations",
   "description": "The state of each destination (the mail servers of one MX set), as each sender sees it now. Needs the admin token."
  },
  {
   "name": "kannon.admin.v1.Dkim",
   "description": "The DKIM keys of a domain and their rotation. Needs the admin token. A new key is `next`. It is `active` while it signs (at most one per algorithm), `retired` after that while its record must stay for mail under way, and finally `deleted`. A selector is never used twice."
  },
  {
   "name": "kannon.admin.v1.Keys",
   "description": "API keys with scopes, networks and quotas, and the quota of a domain. Needs the admin token. Keys of pkg.kannon.admin.apiv1.Api are the same keys; one that is created there has the scope `send`."
  },
  {
   "name": "kannon.admin.v1.Nodes",
   "description": "The processes of an installation: what each runs, where, since when, and how busy it is. Needs the admin token."
  },
  {
   "name": "kannon.admin.v1.Operations",
   "description": "Lists, explains, cancels, pauses and retries mail under way. Needs the admin token."
  },
  {
   "name": "kannon.admin.v1.Overview",
   "description": "How it goes, at a glance. Needs the admin token or the viewer token."
  },
  {
   "name": "kannon.admin.v1.Pages",
   "description": "The way in to the pages. Needs the admin token."
  },
  {
   "name": "kannon.admin.v1.Parked",
   "description": "Dead letters: messages that no component could handle. Needs the admin token."
  },
  {
   "name": "kannon.admin.v1.Records",
   "description": "The DNS records of a domain. Needs the admin token or the viewer token."
  },
  {
   "name": "kannon.admin.v1.Reputation",
   "description": "What guards the name of a sender domain. Needs the admin token."
  },
  {
   "name": "kannon.admin.v1.Suppressions",
   "description": "Addresses that a domain does not send to. Needs the admin token. The letter case of an address does not count; every other difference does."
  },
  {
   "name": "kannon.admin.v1.Templates",
   "description": "Versions, previews and checks of templates. Takes the admin token, or an API key of the domain with the scope `templates`. Each save of a template is a version; a batch keeps the version that it was accepted with."
  },
  {
   "name": "kannon.admin.v1.Webhooks",
   "description": "Endpoints to which Kannon posts the events of a domain, as Standard Webhooks describes. Needs the admin token."
  },
  {
   "name": "kannon.mailer.v1.Mailer",
   "description": "Sends of a domain, with its API key: everything that Kannon can send. Metadata `idempotency-key` (at most 255 characters): a repeat with the same key within 24 hours gets the first answer and sends nothing new."
  },
  {
   "name": "kannon.stats.apiv2.StatsApiV2",
   "description": ""
  },
  {
   "name": "kannon.stats.v1.Events",
   "description": "The events of a domain in the order in which they are stored. Takes the admin token, or an API key of the domain with the scope `read`. Anonymous opens and clicks are only counted, so they are not here; nor are events that a version before this service has stored (StatsApiV1 has them)."
  },
  {
   "name": "pkg.kannon.admin.apiv1.Api",
   "description": ""
  },
  {
   "name": "pkg.kannon.admin.apiv1.HZService",
   "description": ""
  },
  {
   "name": "pkg.kannon.mailer.apiv1.Mailer",
   "description": ""
  }
 ],
 "paths": {
  "/healthz": {
   "get": {
    "operationId": "process",
    "summary": "The process answers.",
    "security": [
     {}
    ],
    "responses": {
     "200": {
      "description": "It does.",
      "content": {
       "application/json": {
        "schema": {
         "type": "object"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.StatsApiV1/GetStats": {
   "post": {
    "operationId": "kannon.StatsApiV1.GetStats",
    "tags": [
     "kannon.StatsApiV1"
    ],
    "summary": "GetStats",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.GetStatsReq"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.GetStatsRes"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.StatsApiV1/GetStatsAggregated": {
   "post": {
    "operationId": "kannon.StatsApiV1.GetStatsAggregated",
    "tags": [
     "kannon.StatsApiV1"
    ],
    "summary": "GetStatsAggregated",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.GetStatsAggregatedReq"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.GetStatsAggregatedRes"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Audit/ListAudit": {
   "post": {
    "operationId": "kannon.admin.v1.Audit.ListAudit",
    "tags": [
     "kannon.admin.v1.Audit"
    ],
    "summary": "ListAudit",
    "description": "The newest first.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ListAuditRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ListAuditResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Destinations/ListDestinations": {
   "post": {
    "operationId": "kannon.admin.v1.Destinations.ListDestinations",
    "tags": [
     "kannon.admin.v1.Destinations"
    ],
    "summary": "ListDestinations",
    "description": "Destinations with the most mail first, from all senders that answer in time.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ListDestinationsRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ListDestinationsResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Dkim/ActivateDkimKey": {
   "post": {
    "operationId": "kannon.admin.v1.Dkim.ActivateDkimKey",
    "tags": [
     "kannon.admin.v1.Dkim"
    ],
    "summary": "ActivateDkimKey",
    "description": "A next or retired key begins to sign; the active key of its algorithm is retired. FAILED_PRECONDITION unless the DNS has its record and no other. No effect on an active key.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ActivateDkimKeyRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ActivateDkimKeyResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Dkim/CreateDkimKey": {
   "post": {
    "operationId": "kannon.admin.v1.Dkim.CreateDkimKey",
    "tags": [
     "kannon.admin.v1.Dkim"
    ],
    "summary": "CreateDkimKey",
    "description": "Makes the next key of an algorithm; it does not sign yet. ALREADY_EXISTS if there is a next key.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.CreateDkimKeyRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.CreateDkimKeyResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Dkim/DeleteDkimKey": {
   "post": {
    "operationId": "kannon.admin.v1.Dkim.DeleteDkimKey",
    "tags": [
     "kannon.admin.v1.Dkim"
    ],
    "summary": "DeleteDkimKey",
    "description": "Deletes the private key of a key that does not sign; this cannot be undone, and its record can be removed then. FAILED_PRECONDITION for an active key, and while mail that it signed may be under way.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.DeleteDkimKeyRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.DeleteDkimKeyResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Dkim/ListDkimKeys": {
   "post": {
    "operationId": "kannon.admin.v1.Dkim.ListDkimKeys",
    "tags": [
     "kannon.admin.v1.Dkim"
    ],
    "summary": "ListDkimKeys",
    "description": "All keys, deleted ones too, oldest first.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ListDkimKeysRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ListDkimKeysResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Dkim/RetireDkimKey": {
   "post": {
    "operationId": "kannon.admin.v1.Dkim.RetireDkimKey",
    "tags": [
     "kannon.admin.v1.Dkim"
    ],
    "summary": "RetireDkimKey",
    "description": "An Ed25519 key stops signing without a successor. FAILED_PRECONDITION for an RSA key.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.RetireDkimKeyRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.RetireDkimKeyResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Keys/CreateKey": {
   "post": {
    "operationId": "kannon.admin.v1.Keys.CreateKey",
    "tags": [
     "kannon.admin.v1.Keys"
    ],
    "summary": "CreateKey",
    "description": "Only this answer has the secret.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.CreateKeyRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.CreateKeyResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Keys/GetDomainQuota": {
   "post": {
    "operationId": "kannon.admin.v1.Keys.GetDomainQuota",
    "tags": [
     "kannon.admin.v1.Keys"
    ],
    "summary": "GetDomainQuota",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.GetDomainQuotaRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.GetDomainQuotaResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Keys/GetKey": {
   "post": {
    "operationId": "kannon.admin.v1.Keys.GetKey",
    "tags": [
     "kannon.admin.v1.Keys"
    ],
    "summary": "GetKey",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.GetKeyRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.GetKeyResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Keys/ListKeys": {
   "post": {
    "operationId": "kannon.admin.v1.Keys.ListKeys",
    "tags": [
     "kannon.admin.v1.Keys"
    ],
    "summary": "ListKeys",
    "description": "Newest first.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ListKeysRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ListKeysResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Keys/SetDomainQuota": {
   "post": {
    "operationId": "kannon.admin.v1.Keys.SetDomainQuota",
    "tags": [
     "kannon.admin.v1.Keys"
    ],
    "summary": "SetDomainQuota",
    "description": "For all keys of the domain together, and for the administrator's sends.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.SetDomainQuotaRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.SetDomainQuotaResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Keys/UpdateKey": {
   "post": {
    "operationId": "kannon.admin.v1.Keys.UpdateKey",
    "tags": [
     "kannon.admin.v1.Keys"
    ],
    "summary": "UpdateKey",
    "description": "Changes what is set. Holds in every process within a second.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.UpdateKeyRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.UpdateKeyResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Nodes/GetConfig": {
   "post": {
    "operationId": "kannon.admin.v1.Nodes.GetConfig",
    "tags": [
     "kannon.admin.v1.Nodes"
    ],
    "summary": "GetConfig",
    "description": "The configuration in force at the server that answers; secrets are masked.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.GetConfigRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.GetConfigResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Nodes/ListNodes": {
   "post": {
    "operationId": "kannon.admin.v1.Nodes.ListNodes",
    "tags": [
     "kannon.admin.v1.Nodes"
    ],
    "summary": "ListNodes",
    "description": "All processes that answer in time, by host and process.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ListNodesRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ListNodesResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Operations/CancelBatch": {
   "post": {
    "operationId": "kannon.admin.v1.Operations.CancelBatch",
    "tags": [
     "kannon.admin.v1.Operations"
    ],
    "summary": "CancelBatch",
    "description": "Ends all further attempts: each delivery that no sender holds becomes a `failed` event with reason \"cancelled\". A delivery that a sender holds ends in the same way if that attempt fails. Cannot be undone; a repeat changes nothing.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.CancelBatchRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.CancelBatchResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Operations/CancelDelivery": {
   "post": {
    "operationId": "kannon.admin.v1.Operations.CancelDelivery",
    "tags": [
     "kannon.admin.v1.Operations"
    ],
    "summary": "CancelDelivery",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.CancelDeliveryRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.CancelDeliveryResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Operations/FindByMessageId": {
   "post": {
    "operationId": "kannon.admin.v1.Operations.FindByMessageId",
    "tags": [
     "kannon.admin.v1.Operations"
    ],
    "summary": "FindByMessageId",
    "description": "The delivery under way that has this Message-ID. That of a delivery that has ended is not stored.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.FindByMessageIdRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.FindByMessageIdResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Operations/GetBatch": {
   "post": {
    "operationId": "kannon.admin.v1.Operations.GetBatch",
    "tags": [
     "kannon.admin.v1.Operations"
    ],
    "summary": "GetBatch",
    "description": "One batch and the events of its deliveries so far.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.GetBatchRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.GetBatchResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Operations/GetTimeline": {
   "post": {
    "operationId": "kannon.admin.v1.Operations.GetTimeline",
    "tags": [
     "kannon.admin.v1.Operations"
    ],
    "summary": "GetTimeline",
    "description": "Every event of one delivery, oldest first, and its present state: why a mail has not arrived.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.GetTimelineRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.GetTimelineResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Operations/ListBatches": {
   "post": {
    "operationId": "kannon.admin.v1.Operations.ListBatches",
    "tags": [
     "kannon.admin.v1.Operations"
    ],
    "summary": "ListBatches",
    "description": "Batches of a domain, or of all, newest first.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ListBatchesRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ListBatchesResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Operations/ListDeliveries": {
   "post": {
    "operationId": "kannon.admin.v1.Operations.ListDeliveries",
    "tags": [
     "kannon.admin.v1.Operations"
    ],
    "summary": "ListDeliveries",
    "description": "Deliveries without an outcome, the next due first.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ListDeliveriesRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ListDeliveriesResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Operations/ListPauses": {
   "post": {
    "operationId": "kannon.admin.v1.Operations.ListPauses",
    "tags": [
     "kannon.admin.v1.Operations"
    ],
    "summary": "ListPauses",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ListPausesRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ListPausesResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Operations/Pause": {
   "post": {
    "operationId": "kannon.admin.v1.Operations.Pause",
    "tags": [
     "kannon.admin.v1.Operations"
    ],
    "summary": "Pause",
    "description": "Until Resume, no sender gets mail of a batch, of a tenant's domain or to a destination. New mail is accepted and waits too. A repeat changes nothing.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.PauseRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.PauseResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Operations/Resume": {
   "post": {
    "operationId": "kannon.admin.v1.Operations.Resume",
    "tags": [
     "kannon.admin.v1.Operations"
    ],
    "summary": "Resume",
    "description": "Ends a pause. Mail goes on unless another pause holds it. The pause does not count against the retry window.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ResumeRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ResumeResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Operations/RetryNow": {
   "post": {
    "operationId": "kannon.admin.v1.Operations.RetryNow",
    "tags": [
     "kannon.admin.v1.Operations"
    ],
    "summary": "RetryNow",
    "description": "Tries waiting deliveries now instead of at their next time; this changes nothing that is paused or cancelled.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.RetryNowRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.RetryNowResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Overview/GetEngagement": {
   "post": {
    "operationId": "kannon.admin.v1.Overview.GetEngagement",
    "tags": [
     "kannon.admin.v1.Overview"
    ],
    "summary": "GetEngagement",
    "description": "Opens and clicks of one batch, by hour and by link.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.GetEngagementRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.GetEngagementResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Overview/GetOverview": {
   "post": {
    "operationId": "kannon.admin.v1.Overview.GetOverview",
    "tags": [
     "kannon.admin.v1.Overview"
    ],
    "summary": "GetOverview",
    "description": "Of all domains: what happened in the last hours, and what waits.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.GetOverviewRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.GetOverviewResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Pages/CreateLoginLink": {
   "post": {
    "operationId": "kannon.admin.v1.Pages.CreateLoginLink",
    "tags": [
     "kannon.admin.v1.Pages"
    ],
    "summary": "CreateLoginLink",
    "description": "A link that logs a browser in as the administrator, once and within a minute.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.CreateLoginLinkRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.CreateLoginLinkResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Parked/DeleteParked": {
   "post": {
    "operationId": "kannon.admin.v1.Parked.DeleteParked",
    "tags": [
     "kannon.admin.v1.Parked"
    ],
    "summary": "DeleteParked",
    "description": "Deletes a message. Cannot be undone.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.DeleteParkedRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.DeleteParkedResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Parked/ListParked": {
   "post": {
    "operationId": "kannon.admin.v1.Parked.ListParked",
    "tags": [
     "kannon.admin.v1.Parked"
    ],
    "summary": "ListParked",
    "description": "Oldest first.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ListParkedRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ListParkedResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Parked/RetryParked": {
   "post": {
    "operationId": "kannon.admin.v1.Parked.RetryParked",
    "tags": [
     "kannon.admin.v1.Parked"
    ],
    "summary": "RetryParked",
    "description": "Publishes a message again on its subject and removes it here: for a message that a newer version can handle.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.RetryParkedRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.RetryParkedResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Records/CheckRecords": {
   "post": {
    "operationId": "kannon.admin.v1.Records.CheckRecords",
    "tags": [
     "kannon.admin.v1.Records"
    ],
    "summary": "CheckRecords",
    "description": "The records to publish, and what the server's name servers say of each now.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.CheckRecordsRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.CheckRecordsResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Reputation/GetGuard": {
   "post": {
    "operationId": "kannon.admin.v1.Reputation.GetGuard",
    "tags": [
     "kannon.admin.v1.Reputation"
    ],
    "summary": "GetGuard",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.GetGuardRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.GetGuardResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Reputation/GetReports": {
   "post": {
    "operationId": "kannon.admin.v1.Reputation.GetReports",
    "tags": [
     "kannon.admin.v1.Reputation"
    ],
    "summary": "GetReports",
    "description": "What the DMARC and TLS reports say that came to dmarc@ and tlsrpt@ of the domain.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.GetReportsRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.GetReportsResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Reputation/SetGuard": {
   "post": {
    "operationId": "kannon.admin.v1.Reputation.SetGuard",
    "tags": [
     "kannon.admin.v1.Reputation"
    ],
    "summary": "SetGuard",
    "description": "Replaces what the domain has instead of the configuration. Holds from the next page of outcomes on.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.SetGuardRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.SetGuardResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Suppressions/AddSuppressions": {
   "post": {
    "operationId": "kannon.admin.v1.Suppressions.AddSuppressions",
    "tags": [
     "kannon.admin.v1.Suppressions"
    ],
    "summary": "AddSuppressions",
    "description": "All or none, at most 10,000 in one call. An existing entry stays unless the new one lasts longer or is a complaint after a bounce, so you can repeat an import.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.AddSuppressionsRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.AddSuppressionsResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Suppressions/GetSuppression": {
   "post": {
    "operationId": "kannon.admin.v1.Suppressions.GetSuppression",
    "tags": [
     "kannon.admin.v1.Suppressions"
    ],
    "summary": "GetSuppression",
    "description": "Why an address is suppressed; NOT_FOUND if it is not.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.GetSuppressionRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.GetSuppressionResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Suppressions/GetSuppressionPolicy": {
   "post": {
    "operationId": "kannon.admin.v1.Suppressions.GetSuppressionPolicy",
    "tags": [
     "kannon.admin.v1.Suppressions"
    ],
    "summary": "GetSuppressionPolicy",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.GetSuppressionPolicyRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.GetSuppressionPolicyResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Suppressions/ListSuppressions": {
   "post": {
    "operationId": "kannon.admin.v1.Suppressions.ListSuppressions",
    "tags": [
     "kannon.admin.v1.Suppressions"
    ],
    "summary": "ListSuppressions",
    "description": "In the order of the addresses, and of the tags of each; read page after page for an export.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ListSuppressionsRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ListSuppressionsResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Suppressions/RemoveSuppressions": {
   "post": {
    "operationId": "kannon.admin.v1.Suppressions.RemoveSuppressions",
    "tags": [
     "kannon.admin.v1.Suppressions"
    ],
    "summary": "RemoveSuppressions",
    "description": "An address without an entry is no error.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.RemoveSuppressionsRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.RemoveSuppressionsResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Suppressions/SetSuppressionPolicy": {
   "post": {
    "operationId": "kannon.admin.v1.Suppressions.SetSuppressionPolicy",
    "tags": [
     "kannon.admin.v1.Suppressions"
    ],
    "summary": "SetSuppressionPolicy",
    "description": "Off: bounces and complaints add no entries, and sends apply none. The entries stay.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.SetSuppressionPolicyRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.SetSuppressionPolicyResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Templates/GetVersion": {
   "post": {
    "operationId": "kannon.admin.v1.Templates.GetVersion",
    "tags": [
     "kannon.admin.v1.Templates"
    ],
    "summary": "GetVersion",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.GetVersionRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.GetVersionResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Templates/LintTemplate": {
   "post": {
    "operationId": "kannon.admin.v1.Templates.LintTemplate",
    "tags": [
     "kannon.admin.v1.Templates"
    ],
    "summary": "LintTemplate",
    "description": "Renders a preview and names what mailbox providers and readers have trouble with.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.LintTemplateRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.LintTemplateResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Templates/ListVersions": {
   "post": {
    "operationId": "kannon.admin.v1.Templates.ListVersions",
    "tags": [
     "kannon.admin.v1.Templates"
    ],
    "summary": "ListVersions",
    "description": "Newest first, the current one too; without their HTML.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ListVersionsRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ListVersionsResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Templates/PreviewTemplate": {
   "post": {
    "operationId": "kannon.admin.v1.Templates.PreviewTemplate",
    "tags": [
     "kannon.admin.v1.Templates"
    ],
    "summary": "PreviewTemplate",
    "description": "What a recipient would get, without tracking. Sends nothing.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.PreviewTemplateRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.PreviewTemplateResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Templates/RestoreVersion": {
   "post": {
    "operationId": "kannon.admin.v1.Templates.RestoreVersion",
    "tags": [
     "kannon.admin.v1.Templates"
    ],
    "summary": "RestoreVersion",
    "description": "Saves a former version again, as the next one.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.RestoreVersionRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.RestoreVersionResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Webhooks/CreateEndpoint": {
   "post": {
    "operationId": "kannon.admin.v1.Webhooks.CreateEndpoint",
    "tags": [
     "kannon.admin.v1.Webhooks"
    ],
    "summary": "CreateEndpoint",
    "description": "The answer is the only one with the secret. At most 20 of a domain.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.CreateEndpointRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.CreateEndpointResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Webhooks/DeleteEndpoint": {
   "post": {
    "operationId": "kannon.admin.v1.Webhooks.DeleteEndpoint",
    "tags": [
     "kannon.admin.v1.Webhooks"
    ],
    "summary": "DeleteEndpoint",
    "description": "With what waits for it.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.DeleteEndpointRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.DeleteEndpointResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Webhooks/GetEndpoint": {
   "post": {
    "operationId": "kannon.admin.v1.Webhooks.GetEndpoint",
    "tags": [
     "kannon.admin.v1.Webhooks"
    ],
    "summary": "GetEndpoint",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.GetEndpointRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.GetEndpointResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Webhooks/ListAttempts": {
   "post": {
    "operationId": "kannon.admin.v1.Webhooks.ListAttempts",
    "tags": [
     "kannon.admin.v1.Webhooks"
    ],
    "summary": "ListAttempts",
    "description": "The last 100 requests to an endpoint, the newest first.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ListAttemptsRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ListAttemptsResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Webhooks/ListEndpoints": {
   "post": {
    "operationId": "kannon.admin.v1.Webhooks.ListEndpoints",
    "tags": [
     "kannon.admin.v1.Webhooks"
    ],
    "summary": "ListEndpoints",
    "description": "The oldest first.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ListEndpointsRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ListEndpointsResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Webhooks/ReplayEvents": {
   "post": {
    "operationId": "kannon.admin.v1.Webhooks.ReplayEvents",
    "tags": [
     "kannon.admin.v1.Webhooks"
    ],
    "summary": "ReplayEvents",
    "description": "Queues the stored events of a span of time again, after all new ones, with the ids that they had.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.ReplayEventsRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.ReplayEventsResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Webhooks/RotateSecret": {
   "post": {
    "operationId": "kannon.admin.v1.Webhooks.RotateSecret",
    "tags": [
     "kannon.admin.v1.Webhooks"
    ],
    "summary": "RotateSecret",
    "description": "Makes a new secret. For 24 hours requests are signed with the former one too.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.RotateSecretRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.RotateSecretResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Webhooks/SetEndpointEnabled": {
   "post": {
    "operationId": "kannon.admin.v1.Webhooks.SetEndpointEnabled",
    "tags": [
     "kannon.admin.v1.Webhooks"
    ],
    "summary": "SetEndpointEnabled",
    "description": "On: what waits is due at once. Off: no further events are queued, and what waits is kept for 30 days.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.SetEndpointEnabledRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.SetEndpointEnabledResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.admin.v1.Webhooks/TestEndpoint": {
   "post": {
    "operationId": "kannon.admin.v1.Webhooks.TestEndpoint",
    "tags": [
     "kannon.admin.v1.Webhooks"
    ],
    "summary": "TestEndpoint",
    "description": "Queues an event endpoint.test, which is tried once. Its id is the request_id of its attempt.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.admin.v1.TestEndpointRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.admin.v1.TestEndpointResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.mailer.v1.Mailer/Reschedule": {
   "post": {
    "operationId": "kannon.mailer.v1.Mailer.Reschedule",
    "tags": [
     "kannon.mailer.v1.Mailer"
    ],
    "summary": "Reschedule",
    "description": "Moves the deliveries of a batch that no sender has had yet, paused ones too.",
    "security": [
     {
      "apiKey": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.mailer.v1.RescheduleRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.mailer.v1.RescheduleResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.mailer.v1.Mailer/Send": {
   "post": {
    "operationId": "kannon.mailer.v1.Mailer.Send",
    "tags": [
     "kannon.mailer.v1.Mailer"
    ],
    "summary": "Send",
    "description": "One mail per recipient, from HTML, a stored template, or text alone.",
    "security": [
     {
      "apiKey": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.mailer.v1.SendRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.mailer.apiv1.SendRes"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.mailer.v1.Mailer/SendRaw": {
   "post": {
    "operationId": "kannon.mailer.v1.Mailer.SendRaw",
    "tags": [
     "kannon.mailer.v1.Mailer"
    ],
    "summary": "SendRaw",
    "description": "A complete message, the same for all recipients.",
    "security": [
     {
      "apiKey": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.mailer.v1.SendRawRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.mailer.apiv1.SendRes"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.stats.apiv2.StatsApiV2/GetAggregatedStats": {
   "post": {
    "operationId": "kannon.stats.apiv2.StatsApiV2.GetAggregatedStats",
    "tags": [
     "kannon.stats.apiv2.StatsApiV2"
    ],
    "summary": "GetAggregatedStats",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.stats.apiv2.GetAggregatedStatsReq"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.stats.apiv2.GetAggregatedStatsRes"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/kannon.stats.v1.Events/List": {
   "post": {
    "operationId": "kannon.stats.v1.Events.List",
    "tags": [
     "kannon.stats.v1.Events"
    ],
    "summary": "List",
    "description": "A page after a cursor. Read on with next_cursor until `more` is false. A page may have fewer events than asked for, even none, when few events match; `more` is then still true.",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/kannon.stats.v1.ListEventsRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/kannon.stats.v1.ListEventsResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.admin.apiv1.Api/CreateAPIKey": {
   "post": {
    "operationId": "pkg.kannon.admin.apiv1.Api.CreateAPIKey",
    "tags": [
     "pkg.kannon.admin.apiv1.Api"
    ],
    "summary": "CreateAPIKey",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.CreateAPIKeyRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.CreateAPIKeyResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.admin.apiv1.Api/CreateDomain": {
   "post": {
    "operationId": "pkg.kannon.admin.apiv1.Api.CreateDomain",
    "tags": [
     "pkg.kannon.admin.apiv1.Api"
    ],
    "summary": "CreateDomain",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.CreateDomainRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.Domain"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.admin.apiv1.Api/CreateTemplate": {
   "post": {
    "operationId": "pkg.kannon.admin.apiv1.Api.CreateTemplate",
    "tags": [
     "pkg.kannon.admin.apiv1.Api"
    ],
    "summary": "CreateTemplate",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.CreateTemplateReq"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.CreateTemplateRes"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.admin.apiv1.Api/DeactivateAPIKey": {
   "post": {
    "operationId": "pkg.kannon.admin.apiv1.Api.DeactivateAPIKey",
    "tags": [
     "pkg.kannon.admin.apiv1.Api"
    ],
    "summary": "DeactivateAPIKey",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.DeactivateAPIKeyRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.DeactivateAPIKeyResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.admin.apiv1.Api/DeleteTemplate": {
   "post": {
    "operationId": "pkg.kannon.admin.apiv1.Api.DeleteTemplate",
    "tags": [
     "pkg.kannon.admin.apiv1.Api"
    ],
    "summary": "DeleteTemplate",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.DeleteTemplateReq"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.DeleteTemplateRes"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.admin.apiv1.Api/GetAPIKey": {
   "post": {
    "operationId": "pkg.kannon.admin.apiv1.Api.GetAPIKey",
    "tags": [
     "pkg.kannon.admin.apiv1.Api"
    ],
    "summary": "GetAPIKey",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.GetAPIKeyRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.GetAPIKeyResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.admin.apiv1.Api/GetDomain": {
   "post": {
    "operationId": "pkg.kannon.admin.apiv1.Api.GetDomain",
    "tags": [
     "pkg.kannon.admin.apiv1.Api"
    ],
    "summary": "GetDomain",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.GetDomainReq"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.GetDomainRes"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.admin.apiv1.Api/GetDomains": {
   "post": {
    "operationId": "pkg.kannon.admin.apiv1.Api.GetDomains",
    "tags": [
     "pkg.kannon.admin.apiv1.Api"
    ],
    "summary": "GetDomains",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.GetDomainsReq"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.GetDomainsResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.admin.apiv1.Api/GetTemplate": {
   "post": {
    "operationId": "pkg.kannon.admin.apiv1.Api.GetTemplate",
    "tags": [
     "pkg.kannon.admin.apiv1.Api"
    ],
    "summary": "GetTemplate",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.GetTemplateReq"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.GetTemplateRes"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.admin.apiv1.Api/GetTemplates": {
   "post": {
    "operationId": "pkg.kannon.admin.apiv1.Api.GetTemplates",
    "tags": [
     "pkg.kannon.admin.apiv1.Api"
    ],
    "summary": "GetTemplates",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.GetTemplatesReq"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.GetTemplatesRes"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.admin.apiv1.Api/ListAPIKeys": {
   "post": {
    "operationId": "pkg.kannon.admin.apiv1.Api.ListAPIKeys",
    "tags": [
     "pkg.kannon.admin.apiv1.Api"
    ],
    "summary": "ListAPIKeys",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.ListAPIKeysRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.ListAPIKeysResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.admin.apiv1.Api/SetTrackingPolicy": {
   "post": {
    "operationId": "pkg.kannon.admin.apiv1.Api.SetTrackingPolicy",
    "tags": [
     "pkg.kannon.admin.apiv1.Api"
    ],
    "summary": "SetTrackingPolicy",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.SetTrackingPolicyReq"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.SetTrackingPolicyRes"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.admin.apiv1.Api/UpdateTemplate": {
   "post": {
    "operationId": "pkg.kannon.admin.apiv1.Api.UpdateTemplate",
    "tags": [
     "pkg.kannon.admin.apiv1.Api"
    ],
    "summary": "UpdateTemplate",
    "description": "",
    "security": [
     {
      "adminToken": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.UpdateTemplateReq"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.UpdateTemplateRes"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.admin.apiv1.HZService/HZ": {
   "post": {
    "operationId": "pkg.kannon.admin.apiv1.HZService.HZ",
    "tags": [
     "pkg.kannon.admin.apiv1.HZService"
    ],
    "summary": "HZ",
    "description": "",
    "security": [
     {}
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.HZRequest"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.HZResponse"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.mailer.apiv1.Mailer/SendHTML": {
   "post": {
    "operationId": "pkg.kannon.mailer.apiv1.Mailer.SendHTML",
    "tags": [
     "pkg.kannon.mailer.apiv1.Mailer"
    ],
    "summary": "SendHTML",
    "description": "",
    "security": [
     {
      "apiKey": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.mailer.apiv1.SendHTMLReq"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.mailer.apiv1.SendRes"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/pkg.kannon.mailer.apiv1.Mailer/SendTemplate": {
   "post": {
    "operationId": "pkg.kannon.mailer.apiv1.Mailer.SendTemplate",
    "tags": [
     "pkg.kannon.mailer.apiv1.Mailer"
    ],
    "summary": "SendTemplate",
    "description": "",
    "security": [
     {
      "apiKey": []
     },
     {
      "bearer": []
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/pkg.kannon.mailer.apiv1.SendTemplateReq"
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Done.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/pkg.kannon.mailer.apiv1.SendRes"
        }
       }
      }
     },
     "default": {
      "description": "Refused; nothing was changed.",
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Error"
        }
       }
      }
     }
    }
   }
  },
  "/readyz": {
   "get": {
    "operationId": "server",
    "summary": "The server can take mail.",
    "security": [
     {}
    ],
    "responses": {
     "200": {
      "description": "It can.",
      "content": {
       "application/json": {
        "schema": {
         "type": "object"
        }
       }
      }
     },
     "503": {
      "description": "It cannot; the failing checks.",
      "content": {
       "application/json": {
        "schema": {
         "type": "object"
        }
       }
      }
     }
    }
   }
  }
 },
 "components": {
  "schemas": {
   "Error": {
    "type": "object",
    "required": [
     "code",
     "message"
    ],
    "properties": {
     "code": {
      "type": "string",
      "enum": [
       "canceled",
       "unknown",
       "invalid_argument",
       "deadline_exceeded",
       "not_found",
       "already_exists",
       "permission_denied",
       "resource_exhausted",
       "failed_precondition",
       "aborted",
       "out_of_range",
       "unimplemented",
       "internal",
       "unavailable",
       "data_loss",
       "unauthenticated"
      ]
     },
     "message": {
      "type": "string",
      "description": "What is wrong; for a field, `field: what is wrong`."
     },
     "details": {
      "type": "array",
      "description": "google.rpc.BadRequest for a field, google.rpc.RetryInfo for a quota.",
      "items": {
       "type": "object",
       "required": [
        "type",
        "value"
       ],
       "properties": {
        "type": {
         "type": "string",
         "description": "The full name of the message."
        },
        "value": {
         "type": "string",
         "description": "The message, as base64 without padding."
        }
       }
      }
     }
    }
   },
   "kannon.GetStatsAggregatedReq": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "fromDate": {
      "type": "string",
      "format": "date-time"
     },
     "toDate": {
      "type": "string",
      "format": "date-time"
     },
     "tag": {
      "type": "string",
      "description": "field of this project: only events of batches with this tag"
     }
    },
    "additionalProperties": false
   },
   "kannon.GetStatsAggregatedRes": {
    "type": "object",
    "properties": {
     "stats": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.stats.types.StatsAggregated"
      }
     }
    },
    "additionalProperties": false
   },
   "kannon.GetStatsReq": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "fromDate": {
      "type": "string",
      "format": "date-time"
     },
     "toDate": {
      "type": "string",
      "format": "date-time"
     },
     "skip": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "take": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "tag": {
      "type": "string",
      "description": "Fields of this project, from 20. Each one restricts further; an empty one does not restrict."
     },
     "messageId": {
      "type": "string",
      "description": "only events of this batch"
     },
     "email": {
      "type": "string",
      "description": "only events of this recipient; its case does not count"
     },
     "types": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "only events of these types"
     },
     "pageToken": {
      "type": "string",
      "description": "the next_page_token of an answer to the same request: only events after its last one"
     }
    },
    "additionalProperties": false
   },
   "kannon.GetStatsRes": {
    "type": "object",
    "properties": {
     "total": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "with message_id or email: 10000 means that many or more"
     },
     "stats": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.stats.types.Stats"
      }
     },
     "nextPageToken": {
      "type": "string",
      "description": "empty: there are no more"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ActivateDkimKeyRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "selector": {
      "type": "string"
     },
     "force": {
      "type": "boolean",
      "description": "do not check the DNS"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ActivateDkimKeyResponse": {
    "type": "object",
    "properties": {
     "key": {
      "$ref": "#/components/schemas/kannon.admin.v1.DkimKey"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.AddSuppressionsRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "suppressions": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.Suppression"
      },
      "description": "email, tag, cause, since, expires_at and note"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.AddSuppressionsResponse": {
    "type": "object",
    "properties": {
     "count": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "new or changed"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.Attempt": {
    "type": "object",
    "properties": {
     "at": {
      "type": "string",
      "format": "date-time"
     },
     "requestId": {
      "type": "string",
      "description": "the webhook-id"
     },
     "type": {
      "type": "string",
      "description": "of the first event"
     },
     "events": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "status": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "0: no answer"
     },
     "problem": {
      "type": "string",
      "description": "empty: it succeeded"
     },
     "milliseconds": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "answer": {
      "type": "string",
      "description": "its first 1024 bytes"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.AuditEntry": {
    "type": "object",
    "properties": {
     "id": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$"
     },
     "at": {
      "type": "string",
      "format": "date-time"
     },
     "way": {
      "type": "string",
      "description": "api or page"
     },
     "actor": {
      "type": "string",
      "description": "admin token, viewer token, or API key and its id"
     },
     "attribution": {
      "type": "string",
      "description": "the name that the caller gave itself; not checked"
     },
     "peer": {
      "type": "string",
      "description": "the caller's address"
     },
     "action": {
      "type": "string",
      "description": "Service.Method"
     },
     "domain": {
      "type": "string",
      "description": "empty: of no domain, or of several"
     },
     "subject": {
      "type": "string",
      "description": "what was changed, and to what"
     },
     "done": {
      "type": "boolean",
      "description": "false: the end of the change is not recorded; it may or may not have happened"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.Batch": {
    "type": "object",
    "properties": {
     "messageId": {
      "type": "string"
     },
     "domain": {
      "type": "string"
     },
     "templateId": {
      "type": "string",
      "description": "empty: deleted"
     },
     "subject": {
      "type": "string"
     },
     "senderEmail": {
      "type": "string"
     },
     "createdAt": {
      "type": "string",
      "format": "date-time"
     },
     "scheduledTime": {
      "type": "string",
      "format": "date-time"
     },
     "acceptedCount": {
      "type": "integer",
      "minimum": -2147483648,
      "maximum": 2147483647
     },
     "rejectedCount": {
      "type": "integer",
      "minimum": -2147483648,
      "maximum": 2147483647
     },
     "paused": {
      "type": "boolean",
      "description": "the batch or its domain is paused"
     },
     "waitingCount": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "deliveries without an outcome; counted to 250 in lists without domain or with a cursor"
     },
     "cancelledAt": {
      "type": "string",
      "format": "date-time"
     },
     "tag": {
      "type": "string"
     },
     "metadata": {
      "type": "object",
      "additionalProperties": {
       "type": "string"
      }
     },
     "pauseReason": {
      "type": "string",
      "description": "the guard's; empty: not paused by it"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.CancelBatchRequest": {
    "type": "object",
    "properties": {
     "messageId": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.CancelBatchResponse": {
    "type": "object",
    "properties": {
     "cancelledCount": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "underWayCount": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "held by a sender: they may still be delivered"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.CancelDeliveryRequest": {
    "type": "object",
    "properties": {
     "deliveryId": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.CancelDeliveryResponse": {
    "type": "object",
    "properties": {
     "underWay": {
      "type": "boolean",
      "description": "held by a sender: it may still be delivered"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.CheckRecordsRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.CheckRecordsResponse": {
    "type": "object",
    "properties": {
     "records": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.DnsRecord"
      }
     },
     "warnings": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "host names that no other host can reach"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.CreateDkimKeyRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "algorithm": {
      "type": "string",
      "description": "empty: rsa-sha256"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.CreateDkimKeyResponse": {
    "type": "object",
    "properties": {
     "key": {
      "$ref": "#/components/schemas/kannon.admin.v1.DkimKey"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.CreateEndpointRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "url": {
      "type": "string"
     },
     "types": {
      "type": "array",
      "items": {
       "type": "string"
      }
     },
     "maxBatch": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "0: 1; at most 100"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.CreateEndpointResponse": {
    "type": "object",
    "properties": {
     "endpoint": {
      "$ref": "#/components/schemas/kannon.admin.v1.Endpoint"
     },
     "secret": {
      "type": "string",
      "description": "whsec_…"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.CreateKeyRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "name": {
      "type": "string"
     },
     "expiresAt": {
      "type": "string",
      "format": "date-time"
     },
     "scopes": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "empty: send"
     },
     "networks": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "addresses or networks in CIDR form, IPv4 or IPv6"
     },
     "quota": {
      "$ref": "#/components/schemas/kannon.admin.v1.Quota"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.CreateKeyResponse": {
    "type": "object",
    "properties": {
     "key": {
      "$ref": "#/components/schemas/kannon.admin.v1.Key"
     },
     "secret": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.CreateLoginLinkRequest": {
    "type": "object",
    "properties": {},
    "additionalProperties": false
   },
   "kannon.admin.v1.CreateLoginLinkResponse": {
    "type": "object",
    "properties": {
     "path": {
      "type": "string",
      "description": "to append to the address of the API"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.DeleteDkimKeyRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "selector": {
      "type": "string"
     },
     "force": {
      "type": "boolean",
      "description": "also while mail that it signed may be under way"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.DeleteDkimKeyResponse": {
    "type": "object",
    "properties": {
     "key": {
      "$ref": "#/components/schemas/kannon.admin.v1.DkimKey"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.DeleteEndpointRequest": {
    "type": "object",
    "properties": {
     "id": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.DeleteEndpointResponse": {
    "type": "object",
    "properties": {},
    "additionalProperties": false
   },
   "kannon.admin.v1.DeleteParkedRequest": {
    "type": "object",
    "properties": {
     "sequence": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.DeleteParkedResponse": {
    "type": "object",
    "properties": {},
    "additionalProperties": false
   },
   "kannon.admin.v1.Delivery": {
    "type": "object",
    "properties": {
     "deliveryId": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$"
     },
     "messageId": {
      "type": "string"
     },
     "domain": {
      "type": "string"
     },
     "email": {
      "type": "string"
     },
     "state": {
      "type": "string",
      "description": "to_validate, validating, scheduled, sending"
     },
     "dueAt": {
      "type": "string",
      "format": "date-time"
     },
     "nextAttemptAt": {
      "type": "string",
      "format": "date-time",
      "description": "not set while a pause holds it, or if it is cancelled"
     },
     "attempts": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "lastCode": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "reply code of the last failed attempt; 0: no reply"
     },
     "lastStage": {
      "type": "string",
      "description": "stage of the SMTP dialogue"
     },
     "lastHost": {
      "type": "string"
     },
     "lastText": {
      "type": "string"
     },
     "cancelledAt": {
      "type": "string",
      "format": "date-time"
     },
     "pausedBy": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "batch, domain, destination"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.Destination": {
    "type": "object",
    "properties": {
     "site": {
      "type": "string",
      "description": "the names of its mail servers and their port"
     },
     "sender": {
      "type": "string",
      "description": "the sender's process: host and process id"
     },
     "waiting": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "mails in the sender's memory that wait for a connection"
     },
     "inFlight": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "mails in an SMTP transaction"
     },
     "connections": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "connectionLimit": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "the present limit; it grows with success and shrinks with failures"
     },
     "lastVerdict": {
      "type": "string"
     },
     "lastFailure": {
      "type": "string",
      "description": "the last deferral or refusal, at any time"
     },
     "nextProbeSeconds": {
      "type": "number",
      "format": "double",
      "description": "Set while the circuit is open: the time of the next probe."
     },
     "tlsPolicy": {
      "type": "string",
      "description": "What TLS has to prove: none, opportunistic, required or verify where the configuration says so; otherwise \"dane\", \"mta-sts enforce\" or \"mta-sts testing\" where the recipients' domains publish it, and \"opportunistic\" where they do not."
     },
     "tls": {
      "type": "string",
      "description": "version, cipher and how the server was verified, of the last connection; empty: clear text"
     },
     "source": {
      "type": "string",
      "description": "the addresses that it is sent from, while one warms up; empty: as configured"
     },
     "warmUp": {
      "type": "string",
      "description": "what an address that warms up has carried to this provider: \"37 of 100 today\""
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.DkimKey": {
    "type": "object",
    "properties": {
     "selector": {
      "type": "string"
     },
     "algorithm": {
      "type": "string",
      "description": "rsa-sha256, ed25519-sha256"
     },
     "state": {
      "type": "string",
      "description": "next, active, retired, deleted"
     },
     "createdAt": {
      "type": "string",
      "format": "date-time"
     },
     "retiredAt": {
      "type": "string",
      "format": "date-time",
      "description": "when it stopped signing"
     },
     "neededUntil": {
      "type": "string",
      "format": "date-time",
      "description": "of a retired key: it cannot be deleted before"
     },
     "deletedAt": {
      "type": "string",
      "format": "date-time"
     },
     "publish": {
      "type": "boolean",
      "description": "whether its record belongs in the DNS"
     },
     "recordName": {
      "type": "string"
     },
     "recordValue": {
      "type": "string",
      "description": "of the TXT record"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.DmarcSource": {
    "type": "object",
    "properties": {
     "address": {
      "type": "string"
     },
     "mails": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "aligned": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "dkim": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "spf": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "why": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "why mails from there fail, the most frequent reason first"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.DmarcSummary": {
    "type": "object",
    "properties": {
     "mails": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "aligned": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "DKIM or SPF passed for the domain itself"
     },
     "dkim": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "DKIM passed in alignment"
     },
     "spf": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "SPF passed in alignment"
     },
     "quarantined": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "rejected": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "sourceCount": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "sources": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.DmarcSource"
      },
      "description": "the ones with the most failures first"
     }
    },
    "additionalProperties": false,
    "description": "Mails in the domain's name, as their receivers counted them."
   },
   "kannon.admin.v1.DnsRecord": {
    "type": "object",
    "properties": {
     "purpose": {
      "type": "string",
      "description": "DKIM, SPF, DMARC, bounces, …"
     },
     "name": {
      "type": "string"
     },
     "kind": {
      "type": "string",
      "description": "TXT, MX, A/AAAA, PTR"
     },
     "value": {
      "type": "string",
      "description": "to publish; for A/AAAA and PTR the name of the host"
     },
     "good": {
      "type": "boolean"
     },
     "problem": {
      "type": "string",
      "description": "empty: good"
     },
     "hint": {
      "type": "string",
      "description": "what to do"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.Endpoint": {
    "type": "object",
    "properties": {
     "id": {
      "type": "string"
     },
     "domain": {
      "type": "string"
     },
     "url": {
      "type": "string"
     },
     "types": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "none: all"
     },
     "maxBatch": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "events in one request; from 2 on the body is a list"
     },
     "enabled": {
      "type": "boolean"
     },
     "disabledReason": {
      "type": "string"
     },
     "disabledAt": {
      "type": "string",
      "format": "date-time"
     },
     "createdAt": {
      "type": "string",
      "format": "date-time"
     },
     "lastSuccessAt": {
      "type": "string",
      "format": "date-time"
     },
     "failingSince": {
      "type": "string",
      "format": "date-time",
      "description": "not set: the last request succeeded"
     },
     "givenUp": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$",
      "description": "events whose last attempt failed"
     },
     "previousSecretUntil": {
      "type": "string",
      "format": "date-time"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.FindByMessageIdRequest": {
    "type": "object",
    "properties": {
     "headerMessageId": {
      "type": "string",
      "description": "with or without angle brackets"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.FindByMessageIdResponse": {
    "type": "object",
    "properties": {
     "deliveryId": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.Finding": {
    "type": "object",
    "properties": {
     "code": {
      "type": "string",
      "description": "e.g. image_without_alt"
     },
     "message": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetBatchRequest": {
    "type": "object",
    "properties": {
     "messageId": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetBatchResponse": {
    "type": "object",
    "properties": {
     "batch": {
      "$ref": "#/components/schemas/kannon.admin.v1.Batch"
     },
     "waiting": {
      "type": "object",
      "additionalProperties": {
       "type": [
        "string",
        "integer"
       ],
       "format": "int64",
       "pattern": "^-?[0-9]{1,19}$"
      },
      "description": "by state"
     },
     "events": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.Happened"
      },
      "description": "by type, in the order of the first event; as long as events are kept"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetConfigRequest": {
    "type": "object",
    "properties": {},
    "additionalProperties": false
   },
   "kannon.admin.v1.GetConfigResponse": {
    "type": "object",
    "properties": {
     "toml": {
      "type": "string",
      "description": "every key"
     },
     "host": {
      "type": "string"
     },
     "version": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetDomainQuotaRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetDomainQuotaResponse": {
    "type": "object",
    "properties": {
     "quota": {
      "$ref": "#/components/schemas/kannon.admin.v1.Quota"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetEndpointRequest": {
    "type": "object",
    "properties": {
     "id": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetEndpointResponse": {
    "type": "object",
    "properties": {
     "endpoint": {
      "$ref": "#/components/schemas/kannon.admin.v1.Endpoint"
     },
     "waiting": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$",
      "description": "events that wait for it, counted to 100,000"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetEngagementRequest": {
    "type": "object",
    "properties": {
     "messageId": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetEngagementResponse": {
    "type": "object",
    "properties": {
     "hours": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.HourCount"
      },
      "description": "opened and clicked"
     },
     "links": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.LinkCount"
      },
      "description": "the most clicked first, at most 100; of clicks that are not anonymous"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetGuardRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetGuardResponse": {
    "type": "object",
    "properties": {
     "guard": {
      "$ref": "#/components/schemas/kannon.admin.v1.Guard",
      "description": "in force"
     },
     "overrides": {
      "$ref": "#/components/schemas/kannon.admin.v1.GuardOverrides"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetKeyRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "id": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetKeyResponse": {
    "type": "object",
    "properties": {
     "key": {
      "$ref": "#/components/schemas/kannon.admin.v1.Key"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetOverviewRequest": {
    "type": "object",
    "properties": {
     "hours": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "the present hour and those before it; 0: 24; at most 744"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetOverviewResponse": {
    "type": "object",
    "properties": {
     "hours": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.HourCount"
      },
      "description": "hours and types without events are absent"
     },
     "waiting": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.StateCount"
      }
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetReportsRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "fromDate": {
      "type": "string",
      "format": "date-time",
      "description": "days (UTC); not set: 30 days before to_date"
     },
     "toDate": {
      "type": "string",
      "format": "date-time",
      "description": "not set: today"
     },
     "take": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "source addresses and TLS results, at most 1000; 0: 100"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetReportsResponse": {
    "type": "object",
    "properties": {
     "dmarc": {
      "$ref": "#/components/schemas/kannon.admin.v1.DmarcSummary"
     },
     "tls": {
      "$ref": "#/components/schemas/kannon.admin.v1.TlsSummary"
     },
     "reporters": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.Reporter"
      },
      "description": "the ones with the most reports first"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetSuppressionPolicyRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetSuppressionPolicyResponse": {
    "type": "object",
    "properties": {
     "enabled": {
      "type": "boolean"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetSuppressionRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "email": {
      "type": "string"
     },
     "tag": {
      "type": "string",
      "description": "not set: of any tag; empty: the one for all mail"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetSuppressionResponse": {
    "type": "object",
    "properties": {
     "suppression": {
      "$ref": "#/components/schemas/kannon.admin.v1.Suppression",
      "description": "the one for all mail, if there is one"
     },
     "others": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.Suppression"
      },
      "description": "further ones of the address, each for a tag"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetTimelineRequest": {
    "type": "object",
    "properties": {
     "deliveryId": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$",
      "description": "or, if you do not have it:"
     },
     "messageId": {
      "type": "string"
     },
     "email": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetTimelineResponse": {
    "type": "object",
    "properties": {
     "events": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.stats.types.Stats"
      }
     },
     "waiting": {
      "$ref": "#/components/schemas/kannon.admin.v1.Delivery",
      "description": "not set: the delivery has ended"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetVersionRequest": {
    "type": "object",
    "properties": {
     "templateId": {
      "type": "string"
     },
     "version": {
      "type": "integer",
      "minimum": -2147483648,
      "maximum": 2147483647
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.GetVersionResponse": {
    "type": "object",
    "properties": {
     "version": {
      "$ref": "#/components/schemas/kannon.admin.v1.TemplateVersion"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.Guard": {
    "type": "object",
    "properties": {
     "enabled": {
      "type": "boolean"
     },
     "afterOutcomes": {
      "type": "integer",
      "minimum": -2147483648,
      "maximum": 2147483647
     },
     "deadPercent": {
      "type": "number",
      "format": "double",
      "description": "hard bounces among the outcomes, of after_outcomes or more"
     },
     "afterDelivered": {
      "type": "integer",
      "minimum": -2147483648,
      "maximum": 2147483647
     },
     "complaintPercent": {
      "type": "number",
      "format": "double",
      "description": "complaints among the delivered, of after_delivered or more"
     }
    },
    "additionalProperties": false,
    "description": "When the guard pauses a batch. It does so once: a batch that was resumed goes on."
   },
   "kannon.admin.v1.GuardOverrides": {
    "type": "object",
    "properties": {
     "enabled": {
      "type": "boolean"
     },
     "deadPercent": {
      "type": "number",
      "format": "double",
      "description": "0 to 100"
     },
     "complaintPercent": {
      "type": "number",
      "format": "double",
      "description": "0 to 100"
     }
    },
    "additionalProperties": false,
    "description": "What is not set is as configured."
   },
   "kannon.admin.v1.Happened": {
    "type": "object",
    "properties": {
     "type": {
      "type": "string"
     },
     "count": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "firstAt": {
      "type": "string",
      "format": "date-time"
     },
     "lastAt": {
      "type": "string",
      "format": "date-time"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.HourCount": {
    "type": "object",
    "properties": {
     "hour": {
      "type": "string",
      "format": "date-time"
     },
     "type": {
      "type": "string"
     },
     "count": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     }
    },
    "additionalProperties": false,
    "description": "Events of a type that happened in one hour (UTC)."
   },
   "kannon.admin.v1.Key": {
    "type": "object",
    "properties": {
     "id": {
      "type": "string"
     },
     "key": {
      "type": "string",
      "description": "masked: its first 8 characters and \"...\""
     },
     "name": {
      "type": "string"
     },
     "domain": {
      "type": "string"
     },
     "createdAt": {
      "type": "string",
      "format": "date-time"
     },
     "expiresAt": {
      "type": "string",
      "format": "date-time"
     },
     "isActive": {
      "type": "boolean"
     },
     "deactivatedAt": {
      "type": "string",
      "format": "date-time"
     },
     "scopes": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "send, read, suppressions, templates, webhooks"
     },
     "networks": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "CIDR; empty: from everywhere"
     },
     "quota": {
      "$ref": "#/components/schemas/kannon.admin.v1.Quota"
     },
     "lastUsedAt": {
      "type": "string",
      "format": "date-time",
      "description": "up to ten seconds late; not set: never"
     },
     "lastUsedFrom": {
      "type": "string",
      "description": "address"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.LinkCount": {
    "type": "object",
    "properties": {
     "url": {
      "type": "string"
     },
     "count": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.LintTemplateRequest": {
    "type": "object",
    "properties": {
     "sample": {
      "$ref": "#/components/schemas/kannon.admin.v1.TemplateSample"
     },
     "bulk": {
      "type": "boolean",
      "description": "also demands a link to unsubscribe"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.LintTemplateResponse": {
    "type": "object",
    "properties": {
     "findings": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.Finding"
      }
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListAttemptsRequest": {
    "type": "object",
    "properties": {
     "id": {
      "type": "string"
     },
     "take": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListAttemptsResponse": {
    "type": "object",
    "properties": {
     "attempts": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.Attempt"
      }
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListAuditRequest": {
    "type": "object",
    "properties": {
     "before": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$",
      "description": "only entries before this id: the last of the page before"
     },
     "take": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "0: 100"
     },
     "domain": {
      "type": "string",
      "description": "empty: any"
     },
     "action": {
      "type": "string",
      "description": "empty: any"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListAuditResponse": {
    "type": "object",
    "properties": {
     "entries": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.AuditEntry"
      }
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListBatchesRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string",
      "description": "empty: of all domains"
     },
     "skip": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "take": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "fromDate": {
      "type": "string",
      "format": "date-time",
      "description": "created in [from_date, to_date); a bound that is not set does not restrict"
     },
     "toDate": {
      "type": "string",
      "format": "date-time"
     },
     "tag": {
      "type": "string",
      "description": "empty: with any tag or none; needs domain"
     },
     "cursor": {
      "type": "string",
      "description": "the next_cursor of the page before; instead of skip"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListBatchesResponse": {
    "type": "object",
    "properties": {
     "batches": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.Batch"
      }
     },
     "total": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "0 without domain, and with a cursor"
     },
     "nextCursor": {
      "type": "string",
      "description": "empty: this page is the last"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListDeliveriesRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string",
      "description": "empty: of all domains"
     },
     "messageId": {
      "type": "string",
      "description": "empty: of all batches"
     },
     "email": {
      "type": "string",
      "description": "empty: to all addresses"
     },
     "state": {
      "type": "string",
      "description": "empty: in any state"
     },
     "skip": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "take": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "tag": {
      "type": "string",
      "description": "empty: of batches with any tag or none"
     },
     "cursor": {
      "type": "string",
      "description": "the next_cursor of the page before; instead of skip, and without tag"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListDeliveriesResponse": {
    "type": "object",
    "properties": {
     "deliveries": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.Delivery"
      }
     },
     "total": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "10000: that many or more; 0 with a cursor"
     },
     "nextCursor": {
      "type": "string",
      "description": "empty: this page is the last, or is one of a tag"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListDestinationsRequest": {
    "type": "object",
    "properties": {
     "host": {
      "type": "string",
      "description": "only destinations whose host names contain this"
     },
     "take": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListDestinationsResponse": {
    "type": "object",
    "properties": {
     "destinations": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.Destination"
      }
     },
     "total": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "destinations of the senders that answered"
     },
     "senders": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "senders that answered"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListDkimKeysRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListDkimKeysResponse": {
    "type": "object",
    "properties": {
     "keys": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.DkimKey"
      }
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListEndpointsRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string",
      "description": "empty: of all domains"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListEndpointsResponse": {
    "type": "object",
    "properties": {
     "endpoints": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.Endpoint"
      }
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListKeysRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "onlyActive": {
      "type": "boolean"
     },
     "skip": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "take": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "at most 1000; 0: 100"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListKeysResponse": {
    "type": "object",
    "properties": {
     "keys": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.Key"
      }
     },
     "total": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListNodesRequest": {
    "type": "object",
    "properties": {},
    "additionalProperties": false
   },
   "kannon.admin.v1.ListNodesResponse": {
    "type": "object",
    "properties": {
     "nodes": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.Node"
      }
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListParkedRequest": {
    "type": "object",
    "properties": {
     "after": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$",
      "description": "the last sequence of the page before"
     },
     "take": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListParkedResponse": {
    "type": "object",
    "properties": {
     "messages": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.ParkedMessage"
      }
     },
     "total": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListPausesRequest": {
    "type": "object",
    "properties": {},
    "additionalProperties": false
   },
   "kannon.admin.v1.ListPausesResponse": {
    "type": "object",
    "properties": {
     "pauses": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.Pause"
      }
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListSuppressionsRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "cause": {
      "type": "string",
      "description": "empty: any"
     },
     "after": {
      "type": "string",
      "description": "the last address of the page before"
     },
     "take": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "afterTag": {
      "type": "string",
      "description": "its tag; not set: behind all entries of that address"
     },
     "tag": {
      "type": "string",
      "description": "only entries with this tag; empty: any"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListSuppressionsResponse": {
    "type": "object",
    "properties": {
     "suppressions": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.Suppression"
      }
     },
     "total": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListVersionsRequest": {
    "type": "object",
    "properties": {
     "templateId": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ListVersionsResponse": {
    "type": "object",
    "properties": {
     "versions": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.TemplateVersion"
      }
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.Networks": {
    "type": "object",
    "properties": {
     "networks": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "empty: from everywhere"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.Node": {
    "type": "object",
    "properties": {
     "host": {
      "type": "string"
     },
     "pid": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "process": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "1: the process that was started; from 2 on: those that it has started (runner.processes)"
     },
     "components": {
      "type": "array",
      "items": {
       "type": "string"
      }
     },
     "notReady": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "those of them that do not serve now"
     },
     "startedAt": {
      "type": "string",
      "format": "date-time"
     },
     "cpu": {
      "type": "number",
      "format": "double",
      "description": "of one core, 0 to 1: the process or its busiest build worker, whichever uses more"
     },
     "attemptsPerSecond": {
      "type": "number",
      "format": "double",
      "description": "mails tried by its sender; cpu and this over the last seconds"
     },
     "version": {
      "type": "string"
     }
    },
    "additionalProperties": false,
    "description": "One process. On the bus this is its answer."
   },
   "kannon.admin.v1.ParkedMessage": {
    "type": "object",
    "properties": {
     "sequence": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$"
     },
     "parkedAt": {
      "type": "string",
      "format": "date-time"
     },
     "subject": {
      "type": "string",
      "description": "the subject it came from"
     },
     "reason": {
      "type": "string"
     },
     "size": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "bytes"
     },
     "payload": {
      "type": "string",
      "contentEncoding": "base64",
      "description": "the first 16 KiB"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.Pause": {
    "type": "object",
    "properties": {
     "messageId": {
      "type": "string"
     },
     "domain": {
      "type": "string"
     },
     "destination": {
      "type": "string",
      "description": "a domain of recipients"
     },
     "since": {
      "type": "string",
      "format": "date-time"
     },
     "reason": {
      "type": "string",
      "description": "the guard's; empty: an operator paused it"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.PauseRequest": {
    "type": "object",
    "properties": {
     "messageId": {
      "type": "string"
     },
     "domain": {
      "type": "string"
     },
     "destination": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.PauseResponse": {
    "type": "object",
    "properties": {
     "pause": {
      "$ref": "#/components/schemas/kannon.admin.v1.Pause"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.PreviewTemplateRequest": {
    "type": "object",
    "properties": {
     "sample": {
      "$ref": "#/components/schemas/kannon.admin.v1.TemplateSample"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.PreviewTemplateResponse": {
    "type": "object",
    "properties": {
     "html": {
      "type": "string"
     },
     "text": {
      "type": "string"
     },
     "subject": {
      "type": "string"
     },
     "bytes": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "of the whole mail"
     },
     "links": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "targets of links, in order, each once"
     },
     "missingFields": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "Values that the template needs and the sample lacks. In html, text and subject their names stand for them."
     },
     "problem": {
      "type": "string",
      "description": "why it cannot be rendered; the rest is empty then"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.Quota": {
    "type": "object",
    "properties": {
     "perSecond": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "0: no limit"
     },
     "perDay": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "0: no limit"
     }
    },
    "additionalProperties": false,
    "description": "Mails of accepted recipients. Counted over all processes; the day begins at 00:00 UTC."
   },
   "kannon.admin.v1.RemoveSuppressionsRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "emails": {
      "type": "array",
      "items": {
       "type": "string"
      }
     },
     "tag": {
      "type": "string",
      "description": "not set: all entries of these addresses; empty: those for all mail"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.RemoveSuppressionsResponse": {
    "type": "object",
    "properties": {
     "removed": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "each address once, as it was written"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ReplayEventsRequest": {
    "type": "object",
    "properties": {
     "id": {
      "type": "string"
     },
     "fromDate": {
      "type": "string",
      "format": "date-time"
     },
     "toDate": {
      "type": "string",
      "format": "date-time",
      "description": "not set: now"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ReplayEventsResponse": {
    "type": "object",
    "properties": {
     "count": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.Reporter": {
    "type": "object",
    "properties": {
     "kind": {
      "type": "string",
      "description": "dmarc, tls"
     },
     "name": {
      "type": "string"
     },
     "reports": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "lastAt": {
      "type": "string",
      "format": "date-time",
      "description": "the end of its last report"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.RestoreVersionRequest": {
    "type": "object",
    "properties": {
     "templateId": {
      "type": "string"
     },
     "version": {
      "type": "integer",
      "minimum": -2147483648,
      "maximum": 2147483647
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.RestoreVersionResponse": {
    "type": "object",
    "properties": {
     "version": {
      "type": "integer",
      "minimum": -2147483648,
      "maximum": 2147483647,
      "description": "the new one"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ResumeRequest": {
    "type": "object",
    "properties": {
     "messageId": {
      "type": "string"
     },
     "domain": {
      "type": "string"
     },
     "destination": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.ResumeResponse": {
    "type": "object",
    "properties": {
     "releasedCount": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "deliveries that the pause held and that are due now"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.RetireDkimKeyRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "selector": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.RetireDkimKeyResponse": {
    "type": "object",
    "properties": {
     "key": {
      "$ref": "#/components/schemas/kannon.admin.v1.DkimKey"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.RetryNowRequest": {
    "type": "object",
    "properties": {
     "messageId": {
      "type": "string"
     },
     "deliveryId": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$"
     },
     "domain": {
      "type": "string"
     },
     "destination": {
      "type": "string"
     }
    },
    "additionalProperties": false,
    "description": "At least one of these; each one restricts further."
   },
   "kannon.admin.v1.RetryNowResponse": {
    "type": "object",
    "properties": {
     "count": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.RetryParkedRequest": {
    "type": "object",
    "properties": {
     "sequence": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.RetryParkedResponse": {
    "type": "object",
    "properties": {},
    "additionalProperties": false
   },
   "kannon.admin.v1.RotateSecretRequest": {
    "type": "object",
    "properties": {
     "id": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.RotateSecretResponse": {
    "type": "object",
    "properties": {
     "endpoint": {
      "$ref": "#/components/schemas/kannon.admin.v1.Endpoint"
     },
     "secret": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.Scopes": {
    "type": "object",
    "properties": {
     "scopes": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "one or more"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.SenderDestinations": {
    "type": "object",
    "properties": {
     "destinations": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.Destination"
      },
      "description": "the ones with the most mail"
     },
     "total": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "sender": {
      "type": "string"
     }
    },
    "additionalProperties": false,
    "description": "One sender's answer on the bus."
   },
   "kannon.admin.v1.SetDomainQuotaRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "quota": {
      "$ref": "#/components/schemas/kannon.admin.v1.Quota"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.SetDomainQuotaResponse": {
    "type": "object",
    "properties": {
     "quota": {
      "$ref": "#/components/schemas/kannon.admin.v1.Quota"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.SetEndpointEnabledRequest": {
    "type": "object",
    "properties": {
     "id": {
      "type": "string"
     },
     "enabled": {
      "type": "boolean"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.SetEndpointEnabledResponse": {
    "type": "object",
    "properties": {
     "endpoint": {
      "$ref": "#/components/schemas/kannon.admin.v1.Endpoint"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.SetGuardRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "overrides": {
      "$ref": "#/components/schemas/kannon.admin.v1.GuardOverrides"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.SetGuardResponse": {
    "type": "object",
    "properties": {
     "guard": {
      "$ref": "#/components/schemas/kannon.admin.v1.Guard"
     },
     "overrides": {
      "$ref": "#/components/schemas/kannon.admin.v1.GuardOverrides"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.SetSuppressionPolicyRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "enabled": {
      "type": "boolean"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.SetSuppressionPolicyResponse": {
    "type": "object",
    "properties": {
     "enabled": {
      "type": "boolean"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.StateCount": {
    "type": "object",
    "properties": {
     "state": {
      "type": "string",
      "description": "to_validate, validating, scheduled, sending"
     },
     "count": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "overdueSeconds": {
      "type": "number",
      "format": "double",
      "description": "how long the oldest of them has been due"
     }
    },
    "additionalProperties": false,
    "description": "Deliveries in a state. A count from 10,000 on is an estimate."
   },
   "kannon.admin.v1.Suppression": {
    "type": "object",
    "properties": {
     "email": {
      "type": "string",
      "description": "as it was written"
     },
     "cause": {
      "type": "string",
      "description": "bounced, complained, manual, unsubscribed; empty in AddSuppressions: manual"
     },
     "since": {
      "type": "string",
      "format": "date-time"
     },
     "expiresAt": {
      "type": "string",
      "format": "date-time",
      "description": "not set: never"
     },
     "note": {
      "type": "string",
      "description": "an operator's text"
     },
     "eventId": {
      "type": "string",
      "description": "The event that caused it, for a bounce or a complaint."
     },
     "messageId": {
      "type": "string"
     },
     "deliveryId": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$"
     },
     "code": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "enhancedStatus": {
      "type": "string"
     },
     "text": {
      "type": "string"
     },
     "host": {
      "type": "string"
     },
     "tag": {
      "type": "string",
      "description": "only mail with this tag; empty: all mail of the domain"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.TemplateSample": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "templateId": {
      "type": "string",
      "description": "in place of html and engine"
     },
     "version": {
      "type": "integer",
      "minimum": -2147483648,
      "maximum": 2147483647,
      "description": "of the template; 0: the current one"
     },
     "html": {
      "type": "string"
     },
     "engine": {
      "type": "string",
      "description": "plain (also if empty) or jinja"
     },
     "subject": {
      "type": "string",
      "description": "may be empty"
     },
     "text": {
      "type": "string",
      "description": "empty: made from the HTML"
     },
     "data": {
      "type": "object",
      "description": "for a jinja template"
     },
     "fields": {
      "type": "object",
      "additionalProperties": {
       "type": "string"
      },
      "description": "win over data"
     }
    },
    "additionalProperties": false,
    "description": "A stored template, or HTML that is not stored yet, with the values of one recipient."
   },
   "kannon.admin.v1.TemplateVersion": {
    "type": "object",
    "properties": {
     "version": {
      "type": "integer",
      "minimum": -2147483648,
      "maximum": 2147483647,
      "description": "from 1"
     },
     "title": {
      "type": "string"
     },
     "savedAt": {
      "type": "string",
      "format": "date-time"
     },
     "bytes": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "of HTML"
     },
     "html": {
      "type": "string",
      "description": "not in lists"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.TestEndpointRequest": {
    "type": "object",
    "properties": {
     "id": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.TestEndpointResponse": {
    "type": "object",
    "properties": {
     "eventId": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.TlsFailure": {
    "type": "object",
    "properties": {
     "type": {
      "type": "string",
      "description": "such as certificate-expired (RFC 8460)"
     },
     "policy": {
      "type": "string",
      "description": "sts, tlsa or no-policy-found"
     },
     "host": {
      "type": "string",
      "description": "mail server"
     },
     "sender": {
      "type": "string",
      "description": "address"
     },
     "reason": {
      "type": "string"
     },
     "sessions": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.TlsSummary": {
    "type": "object",
    "properties": {
     "sessions": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "failed": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "failures": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/kannon.admin.v1.TlsFailure"
      },
      "description": "the most frequent first"
     }
    },
    "additionalProperties": false,
    "description": "Connections of other senders to the domain's own mail servers."
   },
   "kannon.admin.v1.UpdateKeyRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "id": {
      "type": "string"
     },
     "name": {
      "type": "string"
     },
     "scopes": {
      "$ref": "#/components/schemas/kannon.admin.v1.Scopes"
     },
     "networks": {
      "$ref": "#/components/schemas/kannon.admin.v1.Networks"
     },
     "quota": {
      "$ref": "#/components/schemas/kannon.admin.v1.Quota"
     }
    },
    "additionalProperties": false
   },
   "kannon.admin.v1.UpdateKeyResponse": {
    "type": "object",
    "properties": {
     "key": {
      "$ref": "#/components/schemas/kannon.admin.v1.Key"
     }
    },
    "additionalProperties": false
   },
   "kannon.mailer.v1.RescheduleRequest": {
    "type": "object",
    "properties": {
     "messageId": {
      "type": "string"
     },
     "scheduledTime": {
      "type": "string",
      "format": "date-time",
      "description": "past: now"
     }
    },
    "additionalProperties": false
   },
   "kannon.mailer.v1.RescheduleResponse": {
    "type": "object",
    "properties": {
     "scheduledTime": {
      "type": "string",
      "format": "date-time"
     },
     "movedCount": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     },
     "leftCount": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$",
      "description": "deliveries that a sender has had already, and that stay as they are"
     }
    },
    "additionalProperties": false
   },
   "kannon.mailer.v1.SendRawRequest": {
    "type": "object",
    "properties": {
     "message": {
      "type": "string",
      "contentEncoding": "base64",
      "description": "RFC 5322, with CRLF line ends. Kannon adds Date and Message-ID where they are missing, removes Bcc and Return-Path, signs with DKIM, and passes on everything else byte for byte. One From of the key's domain is needed."
     },
     "recipients": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "the envelope's: addresses without display names"
     },
     "tracking": {
      "$ref": "#/components/schemas/pkg.kannon.tracking.types.TrackingPolicy",
      "description": "Not set: no tracking. Set: links and the pixel of the HTML parts are rewritten. A message that is signed or encrypted is never rewritten."
     },
     "scheduledTime": {
      "type": "string",
      "format": "date-time",
      "description": "not set or past: now"
     },
     "tag": {
      "type": "string"
     },
     "metadata": {
      "type": "object",
      "additionalProperties": {
       "type": "string"
      }
     },
     "validateOnly": {
      "type": "boolean"
     },
     "smtputf8": {
      "type": "boolean",
      "description": "the header may contain UTF-8 (RFC 6532); servers without SMTPUTF8 then refuse the mail"
     },
     "requireTls": {
      "type": "boolean",
      "description": "as in SendRequest"
     }
    },
    "additionalProperties": false
   },
   "kannon.mailer.v1.SendRequest": {
    "type": "object",
    "properties": {
     "sender": {
      "$ref": "#/components/schemas/pkg.kannon.mailer.types.Sender"
     },
     "subject": {
      "type": "string"
     },
     "html": {
      "type": "string"
     },
     "templateId": {
      "type": "string"
     },
     "text": {
      "type": "string",
      "description": "the text/plain part; may contain {{ placeholders }}. Empty: made from the HTML"
     },
     "recipients": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.mailer.types.Recipient"
      }
     },
     "headers": {
      "$ref": "#/components/schemas/pkg.kannon.mailer.types.Headers"
     },
     "attachments": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.mailer.apiv1.Attachment"
      }
     },
     "globalFields": {
      "type": "object",
      "additionalProperties": {
       "type": "string"
      },
      "description": "fill placeholders for all recipients; a recipient's own field wins"
     },
     "tracking": {
      "$ref": "#/components/schemas/pkg.kannon.tracking.types.TrackingPolicy"
     },
     "oneClickUnsubscribe": {
      "$ref": "#/components/schemas/pkg.kannon.mailer.types.OneClickUnsubscribe"
     },
     "scheduledTime": {
      "type": "string",
      "format": "date-time",
      "description": "not set or past: now"
     },
     "tag": {
      "type": "string",
      "description": "at most 64 characters; kept with the batch and its events, which are counted by it"
     },
     "metadata": {
      "type": "object",
      "additionalProperties": {
       "type": "string"
      },
      "description": "at most 20 pairs, keys of 64 and values of 256 characters; in every event"
     },
     "validateOnly": {
      "type": "boolean",
      "description": "Check the request and store nothing: the same statuses and rejections as a send, and malformed addresses, which a send rejects later, are rejected too. The answer has no message_id. Ignores an idempotency key."
     },
     "requireTls": {
      "type": "boolean",
      "description": "Only servers that are authenticated, and promise to pass this on, get the mail (RFC 8689): see docs/tls.md. Others: deferred, in the end bounced with 5.7.30."
     },
     "data": {
      "type": "object",
      "description": "values for all recipients of a jinja template; global_fields win over it"
     },
     "engine": {
      "type": "string",
      "description": "of html, text and subject: plain (also if empty) or jinja"
     }
    },
    "additionalProperties": false
   },
   "kannon.stats.apiv2.GetAggregatedStatsReq": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "fromDate": {
      "type": "string",
      "format": "date-time"
     },
     "toDate": {
      "type": "string",
      "format": "date-time"
     },
     "tag": {
      "type": "string",
      "description": "field of this project: only events of batches with this tag"
     }
    },
    "additionalProperties": false
   },
   "kannon.stats.apiv2.GetAggregatedStatsRes": {
    "type": "object",
    "properties": {
     "stats": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.stats.types.StatsAggregated"
      }
     }
    },
    "additionalProperties": false
   },
   "kannon.stats.v1.ListEventsRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string",
      "description": "with a key: empty, or its own; with the admin token empty: all domains"
     },
     "types": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "empty: all"
     },
     "messageId": {
      "type": "string",
      "description": "only of this batch"
     },
     "email": {
      "type": "string",
      "description": "only of this recipient, in any letter case"
     },
     "tag": {
      "type": "string",
      "description": "only of sends with this tag"
     },
     "cursor": {
      "type": "string",
      "description": "empty: from the oldest, or with newest_first from the newest"
     },
     "take": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "at most 1000; 0: 100"
     },
     "newestFirst": {
      "type": "boolean",
      "description": "the cursor then leads to older events"
     }
    },
    "additionalProperties": false
   },
   "kannon.stats.v1.ListEventsResponse": {
    "type": "object",
    "properties": {
     "events": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.stats.types.Stats"
      }
     },
     "nextCursor": {
      "type": "string"
     },
     "more": {
      "type": "boolean"
     }
    },
    "additionalProperties": false
   },
   "kannon.stats.v1.WatchEventsRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string",
      "description": "with a key: empty, or its own; with the admin token empty: all domains"
     },
     "types": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "empty: all"
     },
     "messageId": {
      "type": "string",
      "description": "only of this batch"
     },
     "tag": {
      "type": "string",
      "description": "only of sends with this tag"
     },
     "cursor": {
      "type": "string",
      "description": "empty: events that are stored from now on. \"0\": from the oldest"
     },
     "email": {
      "type": "string",
      "description": "only of this recipient, in any letter case"
     }
    },
    "additionalProperties": false
   },
   "kannon.stats.v1.WatchEventsResponse": {
    "type": "object",
    "properties": {
     "events": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.stats.types.Stats"
      },
      "description": "none: only the cursor moves, at the start and from time to time"
     },
     "cursor": {
      "type": "string",
      "description": "after the last of them"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.APIKey": {
    "type": "object",
    "properties": {
     "id": {
      "type": "string"
     },
     "key": {
      "type": "string",
      "description": "masked: its first 8 characters and \"...\""
     },
     "name": {
      "type": "string"
     },
     "domain": {
      "type": "string"
     },
     "createdAt": {
      "type": "string",
      "format": "date-time"
     },
     "expiresAt": {
      "type": "string",
      "format": "date-time"
     },
     "isActive": {
      "type": "boolean"
     },
     "deactivatedAt": {
      "type": "string",
      "format": "date-time"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.CreateAPIKeyRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "name": {
      "type": "string"
     },
     "expiresAt": {
      "type": "string",
      "format": "date-time"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.CreateAPIKeyResponse": {
    "type": "object",
    "properties": {
     "apiKey": {
      "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.APIKey"
     },
     "key": {
      "type": "string",
      "description": "the secret; only this answer has it"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.CreateDomainRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.CreateTemplateReq": {
    "type": "object",
    "properties": {
     "html": {
      "type": "string"
     },
     "title": {
      "type": "string"
     },
     "domain": {
      "type": "string"
     },
     "engine": {
      "type": "string",
      "description": "Fields of this project."
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.CreateTemplateRes": {
    "type": "object",
    "properties": {
     "template": {
      "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.Template"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.DeactivateAPIKeyRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "id": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.DeactivateAPIKeyResponse": {
    "type": "object",
    "properties": {
     "apiKey": {
      "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.APIKey"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.DeleteTemplateReq": {
    "type": "object",
    "properties": {
     "templateId": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.DeleteTemplateRes": {
    "type": "object",
    "properties": {
     "template": {
      "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.Template"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.Domain": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "dkimPubKey": {
      "type": "string",
      "description": "base64 SPKI, for the p= tag"
     },
     "tracking": {
      "$ref": "#/components/schemas/pkg.kannon.tracking.types.TrackingPolicy"
     },
     "dkimSelector": {
      "type": "string",
      "description": "Fields of this project."
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.GetAPIKeyRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "id": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.GetAPIKeyResponse": {
    "type": "object",
    "properties": {
     "apiKey": {
      "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.APIKey"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.GetDomainReq": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.GetDomainRes": {
    "type": "object",
    "properties": {
     "domain": {
      "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.Domain"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.GetDomainsReq": {
    "type": "object",
    "properties": {},
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.GetDomainsResponse": {
    "type": "object",
    "properties": {
     "domains": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.Domain"
      }
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.GetTemplateReq": {
    "type": "object",
    "properties": {
     "templateId": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.GetTemplateRes": {
    "type": "object",
    "properties": {
     "template": {
      "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.Template"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.GetTemplatesReq": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "skip": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "take": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.GetTemplatesRes": {
    "type": "object",
    "properties": {
     "templates": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.Template"
      }
     },
     "total": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.HZRequest": {
    "type": "object",
    "properties": {},
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.HZResponse": {
    "type": "object",
    "properties": {
     "result": {
      "type": "object",
      "additionalProperties": {
       "type": "string"
      },
      "description": "failing checks by name; empty: healthy"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.ListAPIKeysRequest": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "onlyActive": {
      "type": "boolean"
     },
     "limit": {
      "type": "integer",
      "minimum": -2147483648,
      "maximum": 2147483647
     },
     "offset": {
      "type": "integer",
      "minimum": -2147483648,
      "maximum": 2147483647
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.ListAPIKeysResponse": {
    "type": "object",
    "properties": {
     "apiKeys": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.APIKey"
      }
     },
     "total": {
      "type": "integer",
      "minimum": -2147483648,
      "maximum": 2147483647
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.SetTrackingPolicyReq": {
    "type": "object",
    "properties": {
     "domain": {
      "type": "string"
     },
     "tracking": {
      "$ref": "#/components/schemas/pkg.kannon.tracking.types.TrackingPolicy"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.SetTrackingPolicyRes": {
    "type": "object",
    "properties": {
     "domain": {
      "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.Domain"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.Template": {
    "type": "object",
    "properties": {
     "templateId": {
      "type": "string"
     },
     "html": {
      "type": "string"
     },
     "title": {
      "type": "string"
     },
     "type": {
      "type": "string",
      "description": "template or transient"
     },
     "engine": {
      "type": "string",
      "description": "Fields of this project."
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.UpdateTemplateReq": {
    "type": "object",
    "properties": {
     "templateId": {
      "type": "string"
     },
     "html": {
      "type": "string"
     },
     "title": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.admin.apiv1.UpdateTemplateRes": {
    "type": "object",
    "properties": {
     "template": {
      "$ref": "#/components/schemas/pkg.kannon.admin.apiv1.Template"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.mailer.apiv1.Attachment": {
    "type": "object",
    "properties": {
     "filename": {
      "type": "string"
     },
     "content": {
      "type": "string",
      "contentEncoding": "base64"
     },
     "contentType": {
      "type": "string",
      "description": "Fields of this project."
     },
     "contentId": {
      "type": "string",
      "description": "set: an inline part of multipart/related"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.mailer.apiv1.RejectedRecipient": {
    "type": "object",
    "properties": {
     "email": {
      "type": "string"
     },
     "reason": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.mailer.apiv1.SendHTMLReq": {
    "type": "object",
    "properties": {
     "sender": {
      "$ref": "#/components/schemas/pkg.kannon.mailer.types.Sender"
     },
     "subject": {
      "type": "string"
     },
     "html": {
      "type": "string"
     },
     "scheduledTime": {
      "type": "string",
      "format": "date-time"
     },
     "recipients": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.mailer.types.Recipient"
      }
     },
     "attachments": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.mailer.apiv1.Attachment"
      }
     },
     "globalFields": {
      "type": "object",
      "additionalProperties": {
       "type": "string"
      }
     },
     "headers": {
      "$ref": "#/components/schemas/pkg.kannon.mailer.types.Headers"
     },
     "tracking": {
      "$ref": "#/components/schemas/pkg.kannon.tracking.types.TrackingPolicy"
     },
     "oneClickUnsubscribe": {
      "$ref": "#/components/schemas/pkg.kannon.mailer.types.OneClickUnsubscribe"
     },
     "validateOnly": {
      "type": "boolean",
      "description": "Fields of this project. Check the request and store nothing: the same statuses and rejections as a send, and malformed addresses, which a send rejects later, are rejected too. The answer has no message_id. Ignores an idempotency key."
     },
     "text": {
      "type": "string",
      "description": "the text/plain part; may contain {{ placeholders }}. Empty: made from the HTML"
     },
     "tag": {
      "type": "string",
      "description": "at most 64 characters; kept with the batch and its events, which are counted by it"
     },
     "metadata": {
      "type": "object",
      "additionalProperties": {
       "type": "string"
      },
      "description": "at most 20 pairs, keys of 64 and values of 256 characters; in every event"
     },
     "requireTls": {
      "type": "boolean",
      "description": "Only servers that are authenticated, and promise to pass this on, get the mail (RFC 8689): see docs/tls.md. Others: deferred, in the end bounced with 5.7.30."
     },
     "data": {
      "type": "object",
      "description": "values for all recipients of a jinja template; global_fields win over it"
     },
     "engine": {
      "type": "string",
      "description": "of html, text and subject: plain (also if empty) or jinja"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.mailer.apiv1.SendRes": {
    "type": "object",
    "properties": {
     "messageId": {
      "type": "string"
     },
     "templateId": {
      "type": "string"
     },
     "scheduledTime": {
      "type": "string",
      "format": "date-time"
     },
     "acceptedCount": {
      "type": "integer",
      "minimum": -2147483648,
      "maximum": 2147483647
     },
     "rejectedCount": {
      "type": "integer",
      "minimum": -2147483648,
      "maximum": 2147483647
     },
     "rejectedRecipients": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.mailer.apiv1.RejectedRecipient"
      }
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.mailer.apiv1.SendTemplateReq": {
    "type": "object",
    "properties": {
     "sender": {
      "$ref": "#/components/schemas/pkg.kannon.mailer.types.Sender"
     },
     "subject": {
      "type": "string"
     },
     "templateId": {
      "type": "string"
     },
     "scheduledTime": {
      "type": "string",
      "format": "date-time"
     },
     "recipients": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.mailer.types.Recipient"
      }
     },
     "attachments": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.mailer.apiv1.Attachment"
      }
     },
     "globalFields": {
      "type": "object",
      "additionalProperties": {
       "type": "string"
      }
     },
     "headers": {
      "$ref": "#/components/schemas/pkg.kannon.mailer.types.Headers"
     },
     "tracking": {
      "$ref": "#/components/schemas/pkg.kannon.tracking.types.TrackingPolicy"
     },
     "oneClickUnsubscribe": {
      "$ref": "#/components/schemas/pkg.kannon.mailer.types.OneClickUnsubscribe"
     },
     "validateOnly": {
      "type": "boolean",
      "description": "Fields of this project. Check the request and store nothing: the same statuses and rejections as a send, and malformed addresses, which a send rejects later, are rejected too. The answer has no message_id. Ignores an idempotency key."
     },
     "text": {
      "type": "string",
      "description": "the text/plain part; may contain {{ placeholders }}. Empty: made from the HTML"
     },
     "tag": {
      "type": "string",
      "description": "at most 64 characters; kept with the batch and its events, which are counted by it"
     },
     "metadata": {
      "type": "object",
      "additionalProperties": {
       "type": "string"
      },
      "description": "at most 20 pairs, keys of 64 and values of 256 characters; in every event"
     },
     "requireTls": {
      "type": "boolean",
      "description": "Only servers that are authenticated, and promise to pass this on, get the mail (RFC 8689): see docs/tls.md. Others: deferred, in the end bounced with 5.7.30."
     },
     "data": {
      "type": "object",
      "description": "values for all recipients of a jinja template; global_fields win over it"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.mailer.types.EmailToSend": {
    "type": "object",
    "properties": {
     "emailId": {
      "type": "string",
      "description": "the delivery id, decimal"
     },
     "from": {
      "type": "string",
      "description": "the author's address"
     },
     "to": {
      "type": "string",
      "description": "RCPT TO"
     },
     "returnPath": {
      "type": "string",
      "description": "MAIL FROM"
     },
     "body": {
      "type": "string",
      "contentEncoding": "base64",
      "description": "the signed message, CRLF; empty when body_object is set"
     },
     "shouldRetry": {
      "type": "boolean"
     },
     "domain": {
      "type": "string",
      "description": "Fields of this project."
     },
     "messageId": {
      "type": "string",
      "description": "the batch"
     },
     "attempt": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "1 for the first"
     },
     "dueAt": {
      "type": "string",
      "format": "date-time"
     },
     "bodyObject": {
      "type": "string",
      "description": "name in the JetStream object store, for a body over max_payload"
     },
     "turn": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "requeue count: distinguishes envelopes of one attempt"
     },
     "requireTls": {
      "type": "boolean",
      "description": "RFC 8689"
     }
    },
    "additionalProperties": false,
    "description": "Internal: the envelope and the signed message on the bus, from the dispatcher to the sender."
   },
   "pkg.kannon.mailer.types.HeaderField": {
    "type": "object",
    "properties": {
     "name": {
      "type": "string",
      "description": "at most 76 characters"
     },
     "value": {
      "type": "string",
      "description": "at most 2000 characters, no line break; may contain {{ placeholders }}"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.mailer.types.Headers": {
    "type": "object",
    "properties": {
     "to": {
      "type": "array",
      "items": {
       "type": "string"
      }
     },
     "cc": {
      "type": "array",
      "items": {
       "type": "string"
      }
     },
     "replyTo": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "Fields of this project. Where replies go, instead of the sender. Mailboxes of any domain."
     },
     "bcc": {
      "type": "array",
      "items": {
       "type": "string"
      },
      "description": "Further recipients, whom no header field names: each gets a copy that shows the same To. Needs `to`, or a single recipient, whose mail it copies, fields included."
     },
     "fields": {
      "type": "array",
      "items": {
       "$ref": "#/components/schemas/pkg.kannon.mailer.types.HeaderField"
      },
      "description": "Further header fields, at most 50, in this order. Not those that Kannon writes itself (From, Date, DKIM-Signature, …)."
     }
    },
    "additionalProperties": false,
    "description": "Header fields of the mail. The text of To, Cc and Reply-To does not change the recipients."
   },
   "pkg.kannon.mailer.types.OneClickUnsubscribe": {
    "type": "object",
    "properties": {
     "urlTemplate": {
      "type": "string"
     }
    },
    "additionalProperties": false,
    "description": "RFC 8058."
   },
   "pkg.kannon.mailer.types.Recipient": {
    "type": "object",
    "properties": {
     "email": {
      "type": "string"
     },
     "fields": {
      "type": "object",
      "additionalProperties": {
       "type": "string"
      }
     },
     "tracking": {
      "$ref": "#/components/schemas/pkg.kannon.tracking.types.TrackingPolicy"
     },
     "data": {
      "type": "object",
      "description": "Fields of this project."
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.mailer.types.Sender": {
    "type": "object",
    "properties": {
     "email": {
      "type": "string"
     },
     "alias": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.stats.types.EventPage": {
    "type": "object",
    "properties": {
     "events": {
      "type": "array",
      "items": {
       "type": "string",
       "contentEncoding": "base64"
      },
      "description": "each one an encoded Stats"
     }
    },
    "additionalProperties": false,
    "description": "Internal, on NATS: several events of one subject in one message. A message of a single event is a plain Stats, whose field numbers are all below 100."
   },
   "pkg.kannon.stats.types.Stats": {
    "type": "object",
    "properties": {
     "messageId": {
      "type": "string"
     },
     "domain": {
      "type": "string"
     },
     "email": {
      "type": "string"
     },
     "timestamp": {
      "type": "string",
      "format": "date-time"
     },
     "type": {
      "type": "string"
     },
     "data": {
      "$ref": "#/components/schemas/pkg.kannon.stats.types.StatsData"
     },
     "trackingMode": {
      "$ref": "#/components/schemas/pkg.kannon.tracking.types.TrackingMode"
     },
     "eventId": {
      "type": "string",
      "description": "Fields of this project, from 20: for the bus and the delivery's timeline."
     },
     "deliveryId": {
      "type": [
       "string",
       "integer"
      ],
      "format": "uint64",
      "pattern": "^[0-9]{1,19}$"
     },
     "attempt": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "stage": {
      "type": "string",
      "description": "of the SMTP dialogue: dns, connect, … dot"
     },
     "host": {
      "type": "string",
      "description": "the remote MTA"
     },
     "enhancedStatus": {
      "type": "string",
      "description": "RFC 3463, \"5.1.1\""
     },
     "tls": {
      "type": "string",
      "description": "\"TLSv1.3 TLS_AES_256_GCM_SHA384 unverified\"; empty: clear text"
     },
     "retryAfterSeconds": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "as the remote server asked; 0: it did not"
     },
     "suspectedMachine": {
      "type": "boolean",
      "description": "an open or click of a prefetcher or link scanner"
     },
     "tag": {
      "type": "string",
      "description": "of the batch; set in answers, not on the bus"
     },
     "metadata": {
      "type": "object",
      "additionalProperties": {
       "type": "string"
      },
      "description": "of the batch; set in answers, not on the bus"
     }
    },
    "additionalProperties": false,
    "description": "One event."
   },
   "pkg.kannon.stats.types.StatsAggregated": {
    "type": "object",
    "properties": {
     "type": {
      "type": "string"
     },
     "timestamp": {
      "type": "string",
      "format": "date-time"
     },
     "count": {
      "type": [
       "string",
       "integer"
      ],
      "format": "int64",
      "pattern": "^-?[0-9]{1,19}$"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.stats.types.StatsData": {
    "type": "object",
    "properties": {
     "accepted": {
      "$ref": "#/components/schemas/pkg.kannon.stats.types.StatsDataAccepted"
     },
     "delivered": {
      "$ref": "#/components/schemas/pkg.kannon.stats.types.StatsDataDelivered"
     },
     "failed": {
      "$ref": "#/components/schemas/pkg.kannon.stats.types.StatsDataFailed"
     },
     "bounced": {
      "$ref": "#/components/schemas/pkg.kannon.stats.types.StatsDataBounced"
     },
     "opened": {
      "$ref": "#/components/schemas/pkg.kannon.stats.types.StatsDataOpened"
     },
     "clicked": {
      "$ref": "#/components/schemas/pkg.kannon.stats.types.StatsDataClicked"
     },
     "rejected": {
      "$ref": "#/components/schemas/pkg.kannon.stats.types.StatsDataRejected"
     },
     "error": {
      "$ref": "#/components/schemas/pkg.kannon.stats.types.StatsDataError"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.stats.types.StatsDataAccepted": {
    "type": "object",
    "properties": {},
    "additionalProperties": false
   },
   "pkg.kannon.stats.types.StatsDataBounced": {
    "type": "object",
    "properties": {
     "permanent": {
      "type": "boolean"
     },
     "code": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "msg": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.stats.types.StatsDataClicked": {
    "type": "object",
    "properties": {
     "userAgent": {
      "type": "string"
     },
     "ip": {
      "type": "string"
     },
     "url": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.stats.types.StatsDataDelivered": {
    "type": "object",
    "properties": {
     "code": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295,
      "description": "Fields of this project, from 20: the reply to the final dot. Empty for events of earlier versions."
     },
     "msg": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.stats.types.StatsDataError": {
    "type": "object",
    "properties": {
     "code": {
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
     },
     "msg": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.stats.types.StatsDataFailed": {
    "type": "object",
    "properties": {
     "reason": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.stats.types.StatsDataOpened": {
    "type": "object",
    "properties": {
     "userAgent": {
      "type": "string"
     },
     "ip": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.stats.types.StatsDataRejected": {
    "type": "object",
    "properties": {
     "reason": {
      "type": "string"
     }
    },
    "additionalProperties": false
   },
   "pkg.kannon.tracking.types.TrackingMode": {
    "type": "string",
    "enum": [
     "TRACKING_MODE_UNSPECIFIED",
     "TRACKING_MODE_OFF",
     "TRACKING_MODE_ANONYMOUS",
     "TRACKING_MODE_PSEUDONYMOUS",
     "TRACKING_MODE_IDENTIFIED",
     "TRACKING_MODE_FULL"
    ],
    "description": "How much an open or a click records about the reader; each mode records more than the one before."
   },
   "pkg.kannon.tracking.types.TrackingPolicy": {
    "type": "object",
    "properties": {
     "opens": {
      "$ref": "#/components/schemas/pkg.kannon.tracking.types.TrackingMode"
     },
     "links": {
      "$ref": "#/components/schemas/pkg.kannon.tracking.types.TrackingMode"
     }
    },
    "additionalProperties": false,
    "description": "One mode per axis."
   }
  },
  "securitySchemes": {
   "apiKey": {
    "type": "http",
    "scheme": "basic",
    "description": "The domain, and an API key as the password."
   },
   "bearer": {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key for the Mailer, else the admin token."
   },
   "adminToken": {
    "type": "apiKey",
    "in": "header",
    "name": "x-kannon-admin-token"
   }
  }
 }
}"""
