package edge_test

import (
	"net/http"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"dbslm/gateway/edge"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// pageFiles are the files of the page by the path under which they are served.
func pageFiles(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, entry := range entries {
		content, err := os.ReadFile(path.Join("page", entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		at := "/page/" + entry.Name()
		if entry.Name() == "index.html" {
			at = "/"
		}
		files[at] = string(content)
	}
	return files
}

// The page is served as it lies in the folder, under a policy that leaves nothing to a text that it shows.
func TestPage(t *testing.T) {
	url := serve(t, hanging{}, edge.Options{})
	types := map[string]string{"/": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
	total := 0
	for at, want := range pageFiles(t) {
		total += len(want)
		resp, body := ask(t, "GET", url+at, "")
		kind := types[path.Ext(at)]
		if at == "/" {
			kind = types["/"]
		}
		if resp.status != http.StatusOK || body != want || resp.Header.Get("Content-Type") != kind {
			t.Errorf("%s: %d, %s", at, resp.status, resp.Header.Get("Content-Type"))
		}
		policy := resp.Header.Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, directive) {
				t.Errorf("%s: the policy %q lacks %q", at, policy, directive)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "http") {
			t.Errorf("%s: the policy is %q", at, policy)
		}
		for name, value := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache", "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin"} {
			if resp.Header.Get(name) != value {
				t.Errorf("%s: %s is %q", at, name, resp.Header.Get(name))
			}
		}
		tag := resp.Header.Get("ETag")
		if again, body := ask(t, "GET", url+at, "", "If-None-Match", tag); tag == "" || again.status != http.StatusNotModified || body != "" {
			t.Errorf("%s: asked again with %s: %d", at, tag, again.status)
		}
		if changed, _ := ask(t, "GET", url+at, "", "If-None-Match", `"other"`); changed.status != http.StatusOK {
			t.Errorf("%s: of another version: %d", at, changed.status)
		}
		if head, body := ask(t, "HEAD", url+at, ""); head.status != http.StatusOK || body != "" || head.Header.Get("ETag") != tag {
			t.Errorf("%s: HEAD: %d", at, head.status)
		}
		if posted, _ := ask(t, "POST", url+at, "{}"); posted.status != http.StatusMethodNotAllowed || posted.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: POST: %d, allowed %q", at, posted.status, posted.Header.Get("Allow"))
		}
	}
	if total >= 100_000 {
		t.Errorf("the page has %d bytes", total)
	}
	for _, at := range []string{"/page", "/page/", "/page/nothing.js", "/page/index.html", "/page/../page/app.js", "/page/%61pp.js", "//", "/index.html"} {
		if resp, _ := ask(t, "GET", url+at, ""); resp.status != http.StatusNotFound {
			t.Errorf("%s: %d", at, resp.status)
		}
	}
}

// Following a link to the page from elsewhere opens it; pages of elsewhere cannot load it or its parts themselves.
func TestPageIsGuarded(t *testing.T) {
	url := serve(t, hanging{}, edge.Options{})
	link := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		status       int
	}{
		"typed":                 {"GET", "/", []string{"Sec-Fetch-Site", "none"}, 200},
		"a link elsewhere":      {"GET", "/", link, 200},
		"a link to a part":      {"GET", "/page/app.js", link, 403},
		"a link to the API":     {"GET", "/v1/models", link, 403},
		"posted from elsewhere": {"POST", "/", append([]string{"Origin", "https://evil.example"}, link...), 403},
		"an origin":             {"GET", "/", append([]string{"Origin", "https://evil.example"}, link...), 403},
		"a frame elsewhere":     {"GET", "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		"a script elsewhere":    {"GET", "/page/app.js", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script"}, 403},
		"fetched elsewhere":     {"GET", "/", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, 403},
		"a foreign name":        {"GET", "/", append([]string{"Host", "evil.example"}, link...), 421},
	} {
		if resp, body := ask(t, c.method, url+c.path, "", c.headers...); resp.status != c.status {
			t.Errorf("%s: %d %.200s", name, resp.status, body)
		}
	}
}

// What the page is made of cannot run what somebody said: nothing inside the document, no text that becomes HTML or code, nothing
// from elsewhere. And whatever it asks, the gateway has.
func TestPageIsPlain(t *testing.T) {
	files := pageFiles(t)
	inline := regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=|javascript:`)
	if found := inline.FindString(files["/"]); found != "" {
		t.Errorf("the document holds %q", found)
	}
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setHTML|\beval\b|new Function|srcdoc|setTimeout\("|import\(`)
	elsewhere := regexp.MustCompile(`(?i)["'(=](?:[a-z]+:)?//[a-z]`)
	imported := regexp.MustCompile(`from "\./([^"]+)"`)
	loaded := regexp.MustCompile(`(?:href|src)="(/page/[^"]+)"`)
	service := regexp.MustCompile(`(?m)^\s+(\w+): "(dbslm\.[\w.]+)",$`)
	asked := regexp.MustCompile(`\b(?:ask|stream|all)\("(\w+)/(\w+)"`)
	services := map[string]protoreflect.ServiceDescriptor{}
	for _, s := range service.FindAllStringSubmatch(files["/page/api.js"], -1) {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(s[2]))
		if err != nil {
			t.Fatal(err)
		}
		services[s[1]] = found.(protoreflect.ServiceDescriptor)
	}
	calls := 0
	for at, content := range files {
		if found := forbidden.FindString(content); found != "" {
			t.Errorf("%s uses %s", at, found)
		}
		if found := elsewhere.FindString(strings.ReplaceAll(content, `"http://www.w3.org/2000/svg"`, "")); found != "" {
			t.Errorf("%s loads from elsewhere: %s", at, found)
		}
		for _, other := range imported.FindAllStringSubmatch(content, -1) {
			if files["/page/"+other[1]] == "" {
				t.Errorf("%s imports %s", at, other[1])
			}
		}
		for _, other := range loaded.FindAllStringSubmatch(content, -1) {
			if files[other[1]] == "" {
				t.Errorf("%s loads %s", at, other[1])
			}
		}
		for _, call := range asked.FindAllStringSubmatch(content, -1) {
			if calls++; services[call[1]] == nil || services[call[1]].Methods().ByName(protoreflect.Name(call[2])) == nil {
				t.Errorf("%s asks %s/%s", at, call[1], call[2])
			}
		}
	}
	if len(services) < 8 || calls < 20 {
		t.Errorf("only %d services and %d calls were found", len(services), calls)
	}
}
