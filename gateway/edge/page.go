package edge

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// The page is what lies in the folder page, as it lies there: no step makes it. It is a client of the RPCs as JSON beside it and of
// nothing else, so that its policy can forbid everything that comes from elsewhere or is written into the document. See
// docs/web.md and docs/decisions/0100.
//
//go:embed page
var pageFiles embed.FS

// pagePolicy lets the page load its own files and ask this door, and nothing more: no script or style inside the document, no
// other origin, no frame around it, and no string that becomes HTML.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// pageTypes are the types of files that a page may have.
var pageTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// pageRoutes returns what answers the paths of the page: "/" its document, and "/page/NAME" the other files.
func pageRoutes() map[string]route {
	routes := map[string]route{}
	_ = fs.WalkDir(pageFiles, "page", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := pageFiles.ReadFile(name)
		if err != nil {
			return err
		}
		at := "/" + name
		if name == "page/index.html" {
			at = "/"
		}
		answer := pageFile(content, pageTypes[path.Ext(name)])
		routes[at] = route{"page", map[string]http.HandlerFunc{http.MethodGet: answer, http.MethodHead: answer}}
		return nil
	}) // what was embedded can be read
	return routes
}

// pageFile answers with one file. A browser keeps it and asks each time whether it is still the same, so that a page and the
// gateway that it asks are of one version.
func pageFile(content []byte, kind string) http.HandlerFunc {
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	return func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Content-Type":                 kind,
			"Content-Security-Policy":      pagePolicy,
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Referrer-Policy":              "no-referrer",
			"X-Frame-Options":              "DENY",
			"Cache-Control":                "no-cache",
			"ETag":                         tag,
		} {
			w.Header().Set(name, value)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
}

// visits reports whether a request is somebody going to the page, by a link on another site too: nothing is done by looking at it, and
// no other site can frame or read it.
func visits(r *http.Request) bool {
	return r.URL.Path == "/" && r.Method == http.MethodGet && r.Header.Get("Origin") == "" &&
		strings.EqualFold(r.Header.Get("Sec-Fetch-Mode"), "navigate") && strings.EqualFold(r.Header.Get("Sec-Fetch-Dest"), "document")
}
