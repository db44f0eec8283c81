#include "cli/template.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace gantry::cli {
namespace {

const char* kData = R"({
  "ID": "abc", "Empty": "", "Zero": 0, "Yes": true, "Null": null, "Html": "<a&b>", "Float": 1.5,
  "State": {"Running": true, "Pid": 42}, "Labels": {"b": "2", "a.x/y": "1"}, "List": ["x", "y", "z"],
  "Networks": {"n1": {"IP": "10.0.0.2"}, "n2": {"IP": "10.1.0.2"}}, "Mounts": [{"Source": "/a"}, {"Source": "/b"}],
  "\u0001Label": {"k": "v"}})";

std::string run(std::string_view text) {
  auto parsed = Template::parse(text);
  if (!parsed.ok()) return "error: " + parsed.error().message();
  auto out = parsed->run(Value::parse(kData));
  return out.ok() ? *out : "error: " + out.error().message();
}

TEST(Template, WhatPeopleAndScriptsWrite) {
  const std::pair<const char*, const char*> rows[] = {
      {"plain", "plain"},
      {"{{.ID}}", "abc"},
      {"{{ .State.Pid }}/{{.State.Running}}", "42/true"},
      {"{{.Float}} {{.Null}}", "1.5 <no value>"},
      {"{{.List}} {{.Labels}}", "[x y z] map[a.x/y:1 b:2]"},
      {"{{json .List}} {{json .Html}}", R"(["x","y","z"] "<a&b>")"},
      {"{{index .Labels \"a.x/y\"}}|{{index .Labels `none`}}|{{index .List 1}}", "1||y"},
      {"{{(index .Mounts 0).Source}} {{(index .Networks \"n2\").IP}}", "/a 10.1.0.2"},
      {"{{range .List}}{{.}},{{end}}", "x,y,z,"},
      {"{{range $i, $v := .List}}{{if $i}}-{{end}}{{$v}}{{end}}", "x-y-z"},
      {"{{range $k, $v := .Networks}}{{$k}}={{$v.IP}} {{end}}", "n1=10.0.0.2 n2=10.1.0.2 "},
      {"{{range .Empty}}a{{else}}none{{end}}", "error"},
      {"{{range .Null}}a{{else}}none{{end}}", "none"},
      {"{{range .List}}{{if eq . \"y\"}}{{break}}{{end}}{{.}}{{end}}", "x"},
      {"{{range .List}}{{if eq . \"y\"}}{{continue}}{{end}}{{.}}{{end}}", "xz"},
      {"{{with .State}}{{.Pid}} {{$.ID}}{{end}}{{with .Null}}a{{else}}b{{end}}", "42 abcb"},
      {"{{if .Zero}}a{{else if .Yes}}b{{else}}c{{end}}", "b"},
      {"{{if and .Yes (eq .ID \"abc\")}}ok{{end}}{{if or .Zero .Empty}}no{{end}}{{if not .Null}}!{{end}}", "ok!"},
      {"{{$x := .ID}}{{$x}}{{$x = \"n\"}}{{$x}}", "abcn"},
      {"{{.ID | upper}} {{upper .ID | printf \"%s-%d\" | lower}}", "ABC abc-%!d(missing)"},
      {"{{printf \"%-5s|%3d|%q|%v|%.1f\" .ID 7 .ID .List .Float}}", "abc  |  7|\"abc\"|[x y z]|1.5"},
      {"{{join .List \"; \"}} {{len .List}} {{len .ID}} {{title \"a bc\"}}", "x; y; z 3 3 A Bc"},
      {"{{split \"a:b\" \":\"}} {{slice .ID 1}} {{slice .List 0 2}} {{truncate .ID 2}} [{{pad .ID 1 2}}]",
       "[a b] bc [x y] ab [ abc  ]"},
      {"{{println .ID 1}}{{print 1 2}}{{print \"a\" 1}}", "abc 1\n1 2a1"},
      {"a {{- .ID -}} b{{/* nothing */}}c", "aabcbc"},
      {"{{eq .Zero 0}} {{ne .ID \"x\"}} {{lt 1 2}} {{ge 2 3}} {{eq .ID \"q\" \"abc\"}}", "true true true false true"},
      {"{{.Label \"k\"}}{{.Label \"other\"}}", "v"},
  };
  for (const auto& [text, expected] : rows) {
    const std::string out = run(text);
    if (std::string_view(expected) == "error") {
      EXPECT_TRUE(out.starts_with("error: ")) << text << " gave " << out;
    } else {
      EXPECT_EQ(out, expected) << text;
    }
  }
}

TEST(Template, JsonShowsNothingHidden) { EXPECT_EQ(run("{{json .}}").find("\"k\":\"v\""), std::string::npos); }

TEST(Template, MistakesAreNamedWithTheirPlace) {
  const std::pair<const char*, const char*> rows[] = {
      {"a\n {{.ID", "template: :2:2: unclosed action"},
      {"{{foo .ID}}", "template: :1:3: function \"foo\" not defined"},
      {"{{if .ID}}x", "template: :1:1: unexpected EOF"},
      {"{{end}}", "template: :1:1: unexpected {{end}}"},
      {"{{\"abc}}", "unterminated quoted string"},
      {"{{.Nothing}}", "map has no entry for key \"Nothing\""},
      {"{{.Null.X}}", "nil pointer evaluating field X"},
      {"{{.ID.X}}", "can't evaluate field X"},
      {"{{index .List 9}}", "error calling index: index out of range: 9"},
      {"{{$nope}}", "undefined variable \"$nope\""},
      {"{{lt 1 \"a\"}}", "incompatible types for comparison"},
      {"{{define \"x\"}}{{end}}", "{{define}} is not supported"},
      {"{{}}", "missing value for command"},
  };
  for (const auto& [text, message] : rows) {
    const std::string out = run(text);
    EXPECT_TRUE(out.starts_with("error: ") && out.find(message) != std::string::npos) << text << " gave " << out;
  }
}

TEST(Template, MissingMembersCanBeNothing) {
  const auto parsed = Template::parse("{{.A.B}} {{.C}} {{.C.D}}");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(*parsed->run(Value::parse(R"({"A":{}, "C":{}})"), Template::Missing::no_value), "<no value> map[] <no value>");
}

}  // namespace
}  // namespace gantry::cli
