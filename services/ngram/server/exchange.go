package server

import (
	"bufio"
	"context"
	"io"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"

	"google.golang.org/grpc"
)

// exchanges implements ExchangeService.
type exchanges struct {
	ngramv1.UnimplementedExchangeServiceServer
	store  *store.Store
	reader *store.Reader
}

// exportChunk is the size of a message of an export in bytes.
const exportChunk = 256 << 10

// ExportModel implements ExchangeService.
func (s *exchanges) ExportModel(req *ngramv1.ExportModelRequest, stream grpc.ServerStreamingServer[ngramv1.ExportModelResponse]) error {
	out := bufio.NewWriterSize(chunkWriter{stream}, exportChunk)
	ctx, tenant := stream.Context(), tenantOf(req.Tenant)
	var err error
	switch {
	case req.Format == ngramv1.ExchangeFormat_EXCHANGE_FORMAT_ARPA:
		err = s.reader.ExportARPA(ctx, tenant, req.Model, ngram.BuildID(req.BuildId), out, nil)
	case req.BuildId != 0:
		err = errors.New(errors.InvalidArgument, "COUNTS_HAVE_NO_BUILD", "counts belong to the model and not to a build; leave the build out").Field("build_id", "must be 0 for counts")
	default:
		err = s.store.ExportCounts(ctx, tenant, req.Model, out, nil)
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

// chunkWriter sends what is written, a message for each write.
type chunkWriter struct {
	stream grpc.ServerStreamingServer[ngramv1.ExportModelResponse]
}

// Write implements io.Writer.
func (w chunkWriter) Write(p []byte) (int, error) {
	for begin := 0; begin < len(p); begin += exportChunk {
		chunk := append([]byte{}, p[begin:min(begin+exportChunk, len(p))]...) // gRPC may keep it after Send
		if err := w.stream.Send(&ngramv1.ExportModelResponse{Chunk: chunk}); err != nil {
			return begin, err
		}
	}
	return len(p), nil
}

var formats = map[ngramv1.ExchangeFormat]store.Format{
	ngramv1.ExchangeFormat_EXCHANGE_FORMAT_ARPA:       store.FormatARPA,
	ngramv1.ExchangeFormat_EXCHANGE_FORMAT_COUNTS_TSV: store.FormatCounts,
}

// ImportModel implements ExchangeService.
func (s *exchanges) ImportModel(stream grpc.ClientStreamingServer[ngramv1.ImportModelRequest, ngramv1.ImportModelResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	header := first.GetHeader()
	if header == nil {
		return errors.New(errors.InvalidArgument, "HEADER_MISSING", "the first message of an import is its header").Field("header", "missing")
	}
	file, _, err := text.Decompress(&importedFile{stream: stream})
	if err != nil {
		return err
	}
	defer file.Close()
	model, build, err := s.importFile(stream.Context(), header, file)
	if err != nil {
		return err
	}
	return stream.SendAndClose(&ngramv1.ImportModelResponse{Model: modelProto(model), Build: buildProto(build)})
}

func (s *exchanges) importFile(ctx context.Context, header *ngramv1.ImportModelHeader, file io.Reader) (ngram.Model, ngram.Build, error) {
	settings := settingsOf(header.Settings)
	if settings.UnkPolicy == ngram.UnkLiteral {
		return ngram.Model{}, ngram.Build{}, errors.New(errors.InvalidArgument, "MARKS_ARE_NOT_WORDS",
			"<unk>, <s> and </s> are marks in such files and cannot be words").Field("header.settings.unk_policy", "must be reserved")
	}
	return s.store.Import(ctx, tenantOf(header.Tenant), header.Model, store.Import{
		Format: formats[header.Format], File: file, Settings: settings, Storage: storages[header.Storage], Vocabulary: header.VocabularyOf,
	}, nil)
}

// importedFile reads the chunks of a stream.
type importedFile struct {
	stream grpc.ClientStreamingServer[ngramv1.ImportModelRequest, ngramv1.ImportModelResponse]
	rest   []byte
}

// Read implements io.Reader.
func (f *importedFile) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		req, err := f.stream.Recv()
		if err != nil {
			return 0, err
		}
		if req.GetHeader() != nil {
			return 0, errors.New(errors.InvalidArgument, "IMPORT_OUT_OF_ORDER", "an import has one header, before its chunks")
		}
		f.rest = req.GetChunk()
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}
