// Written for Martlet after the specification and after what the official test suite covers; not copied from it.

enum ConformanceTable {
    static let general: [ConformanceCase] = [
        .init("true", good: ["1", "null", "{}", #""x""#]),
        .init("false", bad: ["1", "null", "{}", "[]"]),
        .init("{}", good: ["1", "[]", "{}"]),
        .init(
            #"{"type":"integer"}"#, good: ["1", "1.0", "-3", "1e3", "1e300"],
            bad: ["1.1", #""1""#, "{}", "[]", "true", "null"]),
        .init(#"{"type":"number"}"#, good: ["1", "1.0", "1.1"], bad: [#""1""#, "{}", "[]", "true", "null"]),
        .init(
            #"{"type":"string"}"#, good: [#""1""#, #""""#], bad: ["1", "1.5", "{}", "[]", "true", "null"]),
        .init(#"{"type":"object"}"#, good: ["{}"], bad: ["1", #""x""#, "[]", "true", "null"]),
        .init(#"{"type":"array"}"#, good: ["[]"], bad: ["1", #""x""#, "{}", "true", "null"]),
        .init(#"{"type":"boolean"}"#, good: ["true", "false"], bad: ["0", "1", #""true""#, "null", "[]"]),
        .init(#"{"type":"null"}"#, good: ["null"], bad: ["0", "false", #""""#, "[]", "{}"]),
        .init(#"{"type":["integer","string"]}"#, good: ["1", #""x""#], bad: ["1.5", "null", "{}"]),
        .init(#"{"type":["array","object","null"]}"#, good: ["[]", "{}", "null"], bad: ["1", #""x""#]),
        .init(#"{"enum":[1,2,3]}"#, good: ["1", "2.0"], bad: ["4", #""1""#]),
        .init(
            #"{"enum":[6,"foo",[],true,{"foo":12}]}"#, good: ["[]", #"{"foo":12}"#, #"{"foo":12.0}"#],
            bad: ["null", #"{"foo":false}"#, #"{"foo":12,"boo":42}"#, "[[]]"]),
        .init(#"{"enum":[false]}"#, good: ["false"], bad: ["0", "0.0", "null", "[false]"]),
        .init(#"{"enum":[1]}"#, good: ["1", "1.0"], bad: ["true"]),
        .init(#"{"enum":["é"]}"#, good: [#""\u00e9""#], bad: [#""e\u0301""#]),
        .init(#"{"const":2}"#, good: ["2", "2.0"], bad: ["5", #""2""#, "true"]),
        .init(
            #"{"const":{"a":1,"b":[2]}}"#, good: [#"{"b":[2],"a":1}"#],
            bad: [#"{"a":1}"#, #"{"a":1,"b":[2],"c":3}"#, "[1,2]"]),
        .init(#"{"const":null}"#, good: ["null"], bad: ["0", "false", #""""#]),
        .init(#"{"const":9007199254740993}"#, good: ["9007199254740993"], bad: ["9007199254740992"]),
        .init(#"{"minimum":1.1}"#, good: ["2.6", "1.1", #""x""#], bad: ["0.6"]),
        .init(#"{"minimum":-2}"#, good: ["-1", "0", "-2", "-2.0"], bad: ["-2.0001", "-3"]),
        .init(#"{"maximum":300}"#, good: ["299.97", "300", "300.0", "null"], bad: ["300.5"]),
        .init(#"{"exclusiveMaximum":3.0}"#, good: ["2.2"], bad: ["3", "3.0", "3.5"]),
        .init(#"{"exclusiveMinimum":1.1}"#, good: ["1.2"], bad: ["1.1", "0.6"]),
        .init(
            #"{"maximum":9007199254740992}"#, good: ["9007199254740992"], bad: ["9007199254740993", "1e300"]),
        .init(#"{"exclusiveMinimum":9223372036854775806.0}"#, good: ["1e19"], bad: ["9223372036854775807"]),
        .init(#"{"multipleOf":2}"#, good: ["10", "0", "-4", #""x""#], bad: ["7"]),
        .init(#"{"multipleOf":1.5}"#, good: ["0", "4.5", "-3"], bad: ["35"]),
        .init(#"{"multipleOf":0.0001}"#, good: ["0.0075"], bad: ["0.00751"]),
        .init(#"{"multipleOf":0.01}"#, good: ["19.99", "4.35", "1.1", "0.07"], bad: ["4.355"]),
        .init(#"{"multipleOf":1e-8}"#, good: ["12391239123"], bad: ["1e-9"]),
        .init(#"{"multipleOf":0.123456789}"#, bad: ["1e308"]),
        .init(#"{"type":"integer","multipleOf":0.5}"#, good: ["1e308"]),
        .init(
            #"{"multipleOf":9223372036854775807}"#, good: ["9223372036854775807"],
            bad: ["9223372036854775806"]),
        .init(#"{"maxLength":2}"#, good: [#""f""#, #""fo""#, "100", #""💩💩""#], bad: [#""foo""#]),
        .init(#"{"minLength":2}"#, good: [#""fo""#, "1", #""e\u0301""#], bad: [#""f""#, #""💩""#]),
        .init(#"{"minLength":2.0}"#, good: [#""fo""#], bad: [#""f""#]),
        .init(
            #"{"pattern":"^a*$"}"#, good: [#""aaa""#, #""""#, "true", "{}", "null"],
            bad: [#""abc""#, #""a\n""#]),
        .init(#"{"pattern":"a+"}"#, good: [#""xxaayy""#], bad: [#""xx""#]),
    ]

    static let containers: [ConformanceCase] = [
        .init(
            #"{"properties":{"foo":{"type":"integer"},"bar":{"type":"string"}}}"#,
            good: [#"{"foo":1,"bar":"baz"}"#, #"{"quux":[]}"#, "{}", "[]", "12"],
            bad: [#"{"foo":1,"bar":{}}"#, #"{"foo":[],"bar":{}}"#]),
        .init(
            #"{"properties":{"foo":true,"bar":false}}"#, good: ["{}", #"{"foo":1}"#], bad: [#"{"bar":2}"#]),
        .init(
            #"{"properties":{"__proto__":{"type":"number"},"toString":{"properties":{"length":{"type":"string"}}}}}"#,
            good: ["[]", "{}", #"{"__proto__":1}"#],
            bad: [#"{"__proto__":"foo"}"#, #"{"toString":{"length":37}}"#]),
        .init(#"{"properties":{"a\nb":{"type":"number"}}}"#, good: [#"{"a\nb":1}"#], bad: [#"{"a\nb":"1"}"#]),
        .init(#"{"properties":{"foo":{"type":"null"}}}"#, good: [#"{"foo":null}"#]),
        .init(
            #"{"properties":{"foo":{}},"required":["foo"]}"#,
            good: [#"{"foo":1}"#, "[]", #""x""#, #"{"foo":null}"#],
            bad: [#"{"bar":1}"#, "{}"]),
        .init(#"{"required":[]}"#, good: ["{}"]),
        .init(#"{"required":["a","b"]}"#, good: [#"{"a":1,"b":2}"#], bad: [#"{"a":1}"#, #"{"b":1}"#]),
        .init(
            #"{"properties":{"foo":{},"bar":{}},"additionalProperties":false}"#,
            good: [#"{"foo":1}"#, "[1]", #""x""#], bad: [#"{"foo":1,"bar":2,"quux":true}"#]),
        .init(
            #"{"properties":{"foo":{}},"additionalProperties":{"type":"boolean"}}"#,
            good: [#"{"foo":1}"#, #"{"foo":1,"x":true}"#], bad: [#"{"foo":1,"x":12}"#]),
        .init(#"{"additionalProperties":{"type":"boolean"}}"#, good: [#"{"x":true}"#], bad: [#"{"x":1}"#]),
        .init(
            #"{"allOf":[{"properties":{"foo":{}}}],"additionalProperties":{"type":"boolean"}}"#,
            good: [#"{"bar":true}"#], bad: [#"{"foo":1,"bar":true}"#]),
        .init(
            #"{"items":{"type":"integer"}}"#, good: ["[1,2,3]", "[]", #"{"foo":"bar"}"#],
            bad: [#"[1,"x"]"#]),
        .init(#"{"items":false}"#, good: ["[]"], bad: ["[1]"]),
        .init(#"{"items":true}"#, good: ["[1,\"x\"]"]),
        .init(
            #"{"prefixItems":[{"type":"integer"},{"type":"string"}]}"#,
            good: [#"[1,"x"]"#, "[1]", #"[1,"x",true]"#, "[]", #"{"0":"x"}"#], bad: [#"["x",1]"#]),
        .init(
            #"{"prefixItems":[{"type":"string"}],"items":{"type":"integer"}}"#,
            good: [#"["x",2,3]"#, #"["x"]"#],
            bad: [#"["x","y"]"#, "[1]"]),
        .init(#"{"prefixItems":[{},{}],"items":false}"#, good: ["[1]", "[1,2]"], bad: ["[1,2,3]"]),
        .init(#"{"prefixItems":[true,false]}"#, good: ["[1]", "[]"], bad: [#"[1,"x"]"#]),
        .init(#"{"minItems":1}"#, good: ["[1,2]", "[1]", #""""#], bad: ["[]"]),
        .init(#"{"maxItems":2.0}"#, good: ["[1]", "[1,2]", #""xxx""#], bad: ["[1,2,3]"]),
        .init(
            #"{"uniqueItems":true}"#,
            good: [
                "[1,2]", #"[{"a":1},{"a":2}]"#, "[1,true]", "[0,false]", "[[1],[true]]", #"["a","b"]"#,
                #"[{"a":{"b":1}},{"a":{"b":true}}]"#, "[]", #"["\u00e9","e\u0301"]"#, #"{"a":1}"#,
            ],
            bad: [
                "[1,1]", "[1.0,1.00,1]", #"["foo","bar","foo"]"#, #"[{"a":1,"b":2},{"b":2,"a":1}]"#,
                "[[1],[2],[1]]", "[{},[1],true,null,{},1]", "[null,null]",
            ]),
        .init(#"{"uniqueItems":false}"#, good: ["[1,1]"]),
        .init(
            #"{"allOf":[{"properties":{"bar":{"type":"integer"}},"required":["bar"]},{"required":["foo"]}]}"#,
            good: [#"{"foo":1,"bar":2}"#], bad: [#"{"foo":1}"#, #"{"bar":2}"#, #"{"foo":1,"bar":"q"}"#]),
        .init(#"{"allOf":[true,false]}"#, bad: ["1"]),
        .init(#"{"allOf":[{"maximum":30}],"minimum":20}"#, good: ["25"], bad: ["35", "15"]),
        .init(#"{"anyOf":[{"type":"integer"},{"minimum":2}]}"#, good: ["1", "2.5", "3"], bad: ["1.5"]),
        .init(
            #"{"type":"string","anyOf":[{"maxLength":2},{"minLength":4}]}"#, good: [#""fooo""#],
            bad: ["3", #""foo""#]),
        .init(#"{"anyOf":[false,false]}"#, bad: [#""x""#]),
        .init(#"{"oneOf":[{"type":"integer"},{"minimum":2}]}"#, good: ["1", "2.5"], bad: ["3", "1.5"]),
        .init(#"{"oneOf":[true,true,false]}"#, bad: ["1"]),
        .init(#"{"oneOf":[true,false]}"#, good: ["1"]),
        .init(
            #"{"oneOf":[{"required":["a"]},{"required":["b"]}]}"#, good: [#"{"a":1}"#, #"{"b":1}"#],
            bad: ["{}", #"{"a":1,"b":1}"#]),
        .init(#"{"anyOf":[{"oneOf":[{"type":"null"}]}]}"#, good: ["null"], bad: ["1"]),
        .init(#"{"not":{"type":"integer"}}"#, good: [#""x""#], bad: ["1"]),
        .init(#"{"not":{"not":{}}}"#, good: ["1"]),
        .init(#"{"not":true}"#, bad: ["1"]),
        .init(
            #"{"properties":{"foo":{"not":{}}}}"#, good: [#"{"bar":1}"#], bad: [#"{"foo":1}"#]),
        .init(
            ##"{"properties":{"foo":{"$ref":"#"}},"additionalProperties":false}"##,
            good: [#"{"foo":false}"#, #"{"foo":{"foo":false}}"#],
            bad: [#"{"bar":false}"#, #"{"foo":{"bar":1}}"#]),
        .init(
            ##"{"$defs":{"a":{"type":"integer"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/b"}"##, good: ["5"],
            bad: [#""a""#]),
        .init(
            ##"{"$defs":{"a/b":{"type":"integer"},"c%d":{"type":"integer"},"e~f":{"type":"integer"}},"properties":{"s":{"$ref":"#/$defs/a~1b"},"p":{"$ref":"#/$defs/c%25d"},"t":{"$ref":"#/$defs/e~0f"}}}"##,
            good: [#"{"s":1}"#, #"{"p":1}"#, #"{"t":1}"#], bad: [#"{"s":"x"}"#, #"{"p":"x"}"#, #"{"t":"x"}"#]),
        .init(
            ##"{"$defs":{"r":{"type":"array"}},"properties":{"foo":{"$ref":"#/$defs/r","maxItems":2}}}"##,
            good: [#"{"foo":[]}"#], bad: [#"{"foo":[1,2,3]}"#, #"{"foo":"x"}"#]),
        .init(
            ##"{"$defs":{"node":{"type":"object","properties":{"value":{"type":"number"},"next":{"items":{"$ref":"#/$defs/node"}}},"required":["value"]}},"$ref":"#/$defs/node"}"##,
            good: [#"{"value":1,"next":[{"value":2,"next":[]}]}"#],
            bad: [#"{"value":1,"next":[{"value":2,"next":[{}]}]}"#]),
        .init(
            ##"{"properties":{"$ref":{"type":"string"}}}"##, good: [##"{"$ref":"a"}"##],
            bad: [##"{"$ref":2}"##]),
        .init(##"{"$defs":{"f":false},"$ref":"#/$defs/f"}"##, bad: ["1"]),
        .init(
            #"{"title":"t","description":"d","default":5,"examples":[1],"deprecated":true,"$comment":"c","$id":"urn:x","$schema":"https://json-schema.org/draft/2020-12/schema","type":"string"}"#,
            good: [#""x""#], bad: ["5"]),
    ]

    static let formats: [ConformanceCase] = [
        .init(
            #"{"format":"date-time"}"#,
            good: [
                #""1963-06-19T08:30:06.283185Z""#, #""1963-06-19T08:30:06Z""#,
                #""1937-01-01T12:00:27.87+00:20""#,
                #""1990-12-31T15:59:50.123-08:00""#, #""1998-12-31T23:59:60Z""#,
                #""1998-12-31T15:59:60.123-08:00""#,
                #""1963-06-19t08:30:06.283185z""#, "12", "null",
            ],
            bad: [
                #""1998-12-31T23:59:61Z""#, #""1998-12-31T23:58:60Z""#, #""1990-02-31T15:59:59.123-08:00""#,
                #""1990-12-31T15:59:59-24:00""#, #""06/19/1963 08:30:06 PST""#, #""2013-350T01:01:01""#,
                #""1963-6-19T08:30:06Z""#, #""1963-06-19T8:30:06Z""#, #""1963-06-1৪T00:00:00Z""#,
                #""1963-06-11T0৪:00:00Z""#, #""1963-06-19 08:30:06Z""#, #""1963-06-19T08:30:06""#,
            ]),
        .init(
            #"{"format":"date"}"#, good: [#""1963-06-19""#, #""2020-01-31""#, #""2020-02-29""#, "5"],
            bad: [
                #""2021-02-29""#, #""2020-04-31""#, #""06/19/1963""#, #""2013-350""#, #""1998-1-20""#,
                #""1998-01-1""#,
                #""1998-13-01""#, #""1998-01-00""#, #""1963-06-1৪""#, #""20230328""#, #""2023-W01""#,
                #""2020-01-31Z""#, #""""#,
            ]),
        .init(
            #"{"format":"email"}"#,
            good: [
                #""joe.bloggs@example.com""#, #""te~st@example.com""#, #""~test@example.com""#,
                #""te.s.t@example.com""#,
                #""\"joe bloggs\"@example.com""#, #""\"joe..bloggs\"@example.com""#,
                #""\"joe@bloggs\"@example.com""#,
                #""joe.bloggs@[127.0.0.1]""#, #""joe.bloggs@[IPv6:::1]""#, "7",
            ],
            bad: [
                #""2962""#, #"".test@example.com""#, #""test.@example.com""#, #""te..st@example.com""#,
                #""joe.bloggs@invalid=domain.com""#, #""joe.bloggs@[127.0.0.300]""#, #""a@b@c""#,
                #""@example.com""#,
                #""joe@""#, #""joe @example.com""#, #""joe@-example.com""#,
                #""user1@oceania.org, user2@oceania.org""#,
                #""실례@example.com""#,
            ]),
        .init(
            #"{"format":"uri"}"#,
            good: [
                #""http://foo.bar/?baz=qux#quux""#, #""http://foo.com/blah_(wikipedia)_blah#cite-1""#,
                #""http://foo.bar/?q=Test%20URL-encoded%20stuff""#,
                #""http://-.~_!$&'()*+,;=:%40:80%2f::::::@example.com""#,
                #""http://223.255.255.254""#, #""ftp://ftp.is.co.za/rfc/rfc1808.txt""#,
                #""ldap://[2001:db8::7]/c=GB?objectClass?one""#,
                #""mailto:John.Doe@example.com""#, #""tel:+1-816-555-1212""#,
                #""urn:oasis:names:specification:docbook:dtd:xml:4.1.2""#,
                #""https://example.com:8080/""#, #""file:///etc/hosts""#, "1",
            ],
            bad: [
                #""//foo.bar/?baz=qux#quux""#, #""/abc""#, #""\\\\WINDOWS\\fileshare""#, #""abc""#,
                #""http:// shouldfail.com""#,
                #"":// should fail""#, #""bar,baz:foo""#, #""https://[@example.org/test.txt""#,
                #""https://example.org/foobar\\.txt""#,
                #""https://example.org/foobar<>.txt""#, #""https://example.org/foobar{}.txt""#,
                #""https://example.org/é""#,
                #""https://example.org/%4""#, #""http://example.com:80a/""#, #""https://[::1""#, #""""#,
                #""1http://x""#,
            ]),
        .init(
            #"{"format":"uuid"}"#,
            good: [
                #""2EB8AA08-AA98-11EA-B4AA-73B441D16380""#, #""2eb8aa08-aa98-11ea-b4aa-73b441d16380""#, "3",
            ],
            bad: [
                #""2eb8aa08-aa98-11ea-b4aa-73b441d1638""#, #""2eb8aa08-aa98-11ea-73b441d16380""#,
                #""2eb8aa08aa9811eab4aa73b441d16380""#, #""2eb8aa08aa98-11ea-b4aa73b441d16380""#,
                #""2eb8aa08-aa98-11ea-b4aa-73b441d1638g""#,
            ]),
    ]
}
