// Connect's Go client against the API, in each of its variants.
//
// In: the base URL, the Authorization of an API key, and the protos as a FileDescriptorSet. Out: one JSON object a line for each variant:
// what a call, a call without credentials, a refused one and one past its deadline ended with.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

const (
	send = "/pkg.kannon.mailer.apiv1.Mailer/SendHTML"
	mail = `{"sender": {"email": "news@example.com", "alias": "News"}, "subject": %q, "html": "<p>Hello</p>",` +
		` "recipients": [{"email": "bob@example.net"}]}`
)

type variant struct {
	name    string
	http2   bool
	options []connect.ClientOption
}

var variants = []variant{
	{"connect proto http/1.1", false, nil},
	{"connect json http/1.1", false, []connect.ClientOption{connect.WithProtoJSON()}},
	{"connect gzip http/1.1", false, []connect.ClientOption{connect.WithSendGzip()}},
	{"grpc-web http/1.1", false, []connect.ClientOption{connect.WithGRPCWeb()}},
	{"connect h2c", true, nil},
	{"grpc-web h2c", true, []connect.ClientOption{connect.WithGRPCWeb()}},
	{"grpc", true, []connect.ClientOption{connect.WithGRPC()}},
	{"grpc json", true, []connect.ClientOption{connect.WithGRPC(), connect.WithProtoJSON()}},
	{"grpc gzip", true, []connect.ClientOption{connect.WithGRPC(), connect.WithSendGzip()}},
}

type ended struct {
	Variant  string   `json:"variant"`
	Sent     string   `json:"sent"`
	Stranger string   `json:"stranger"`
	Refused  string   `json:"refused"`
	Fields   []string `json:"fields"`
	Late     string   `json:"late"`
}

type client struct {
	call            *connect.Client[dynamicpb.Message, dynamicpb.Message]
	request, answer protoreflect.MessageDescriptor
	authorization   string
}

func main() {
	request, answer := messages(os.Args[3])
	for _, each := range variants {
		transport := http.RoundTripper(&http.Transport{})
		if each.http2 {
			transport = &http2.Transport{AllowHTTP: true, DialTLSContext: dial}
		}
		options := append(each.options, connect.WithSchema(request.ParentFile()), connect.WithResponseInitializer(
			func(_ connect.Spec, message any) error {
				if empty, ok := message.(*dynamicpb.Message); ok {
					*empty = *dynamicpb.NewMessage(answer)
				}
				return nil
			}))
		caller := connect.NewClient[dynamicpb.Message, dynamicpb.Message](
			&http.Client{Transport: transport}, os.Args[1]+send, options...)
		result := try(client{caller, request, answer, os.Args[2]})
		result.Variant = each.name
		line, _ := json.Marshal(result)
		fmt.Println(string(line))
	}
}

func try(c client) ended {
	var result ended
	answer, err := c.send(context.Background(), "Hello", c.authorization)
	if err == nil {
		result.Sent = answer.Get(c.answer.Fields().ByName("message_id")).String()
	} else {
		result.Sent = err.Error()
	}
	_, err = c.send(context.Background(), "Hello", "")
	result.Stranger = fmt.Sprint(err)
	_, err = c.send(context.Background(), "", c.authorization)
	result.Refused = fmt.Sprint(err)
	var refused *connect.Error
	if errors.As(err, &refused) {
		for _, detail := range refused.Details() {
			if value, err := detail.Value(); err == nil {
				for _, field := range value.(*errdetails.BadRequest).GetFieldViolations() {
					result.Fields = append(result.Fields, field.GetField()+": "+field.GetDescription())
				}
			}
		}
	}
	// The server gets the deadline; the client would give up at the same moment by itself.
	ctx, cancel := context.WithTimeout(context.Background(), time.Microsecond)
	defer cancel()
	_, err = c.send(ctx, "Hello", c.authorization)
	result.Late = connect.CodeOf(err).String()
	return result
}

func (c client) send(ctx context.Context, subject, authorization string) (*dynamicpb.Message, error) {
	message := dynamicpb.NewMessage(c.request)
	if err := protojson.Unmarshal([]byte(fmt.Sprintf(mail, subject)), message); err != nil {
		panic(err)
	}
	request := connect.NewRequest(message)
	if authorization != "" {
		request.Header().Set("Authorization", authorization)
	}
	response, err := c.call.CallUnary(ctx, request)
	if err != nil {
		return nil, err
	}
	return response.Msg, nil
}

func dial(_ context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
	return net.Dial(network, address)
}

// messages reads a FileDescriptorSet: the request and the answer of SendHTML.
func messages(path string) (protoreflect.MessageDescriptor, protoreflect.MessageDescriptor) {
	data, err := os.ReadFile(path)
	var set descriptorpb.FileDescriptorSet
	if err == nil {
		err = proto.Unmarshal(data, &set)
	}
	if err != nil {
		panic(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		panic(err)
	}
	service, err := files.FindDescriptorByName("pkg.kannon.mailer.apiv1.Mailer")
	if err != nil {
		panic(err)
	}
	sending := service.(protoreflect.ServiceDescriptor).Methods().ByName("SendHTML")
	return sending.Input(), sending.Output()
}
