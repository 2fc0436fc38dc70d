import Models
import Testing

@testable import IngestionDomain

@Suite("Schemas")
struct JSONSchemaTests {
    func schema(_ text: String) throws -> JSONSchema { try JSONSchema(JSONParser.parse(text)) }

    /// The places of the mistakes of a schema.
    func mistakes(_ text: String) throws -> [String] {
        do throws(InvalidSchema) {
            _ = try JSONSchema((try? JSONParser.parse(text)) ?? .null)
            return []
        } catch {
            for mistake in error.mistakes { #expect(!mistake.expected.isEmpty) }
            return error.mistakes.map(\.pointer.description)
        }
    }

    @Test("a mistake is reported with its place, and all of them at once")
    func places() throws {
        let table: [(String, [String])] = [
            ("5", [""]), (#"{"patternProperties":{}}"#, ["/patternProperties"]),
            (#"{"typ":"string"}"#, ["/typ"]),
            (#"{"type":"text"}"#, ["/type"]), (#"{"type":[]}"#, ["/type"]),
            (#"{"type":["string","string"]}"#, ["/type/1"]),
            (
                #"{"properties":{"a":{"type":1},"b":{"minLength":-1}}}"#,
                ["/properties/a/type", "/properties/b/minLength"]
            ),
            (#"{"properties":{"a/b~":{"x":1}}}"#, ["/properties/a~1b~0/x"]),
            (#"{"properties":[]}"#, ["/properties"]),
            (#"{"required":["a",5,"a"]}"#, ["/required/1", "/required/2"]),
            (#"{"required":true}"#, ["/required"]),
            (#"{"enum":[]}"#, ["/enum"]), (#"{"minimum":"1"}"#, ["/minimum"]),
            (#"{"multipleOf":0}"#, ["/multipleOf"]),
            (#"{"multipleOf":-1}"#, ["/multipleOf"]), (#"{"maxItems":1.5}"#, ["/maxItems"]),
            (#"{"uniqueItems":1}"#, ["/uniqueItems"]), (#"{"items":[]}"#, ["/items"]),
            (#"{"prefixItems":[]}"#, ["/prefixItems"]),
            (#"{"allOf":[{},5]}"#, ["/allOf/1"]), (#"{"anyOf":{}}"#, ["/anyOf"]),
            (#"{"format":"hostname"}"#, ["/format"]),
            (#"{"pattern":"(?=x)"}"#, ["/pattern"]), (#"{"pattern":5}"#, ["/pattern"]),
            (##"{"$ref":"https://example.com/x"}"##, ["/$ref"]), (##"{"$ref":"#/$defs/x"}"##, ["/$ref"]),
            (##"{"$ref":"#/properties/x"}"##, ["/$ref"]), (##"{"$ref":"#/$defs/%zz"}"##, ["/$ref"]),
            (#"{"properties":{"a":{"$defs":{}}}}"#, ["/properties/a/$defs"]),
            (#"{"$defs":{"a":1}}"#, ["/$defs/a"]),
            (#"{"x-martlet-personal":"drop"}"#, ["/x-martlet-personal"]),
            (#"{"properties":{"a":{"x-martlet-personal":"encrypt"}}}"#, ["/properties/a/x-martlet-personal"]),
            (
                #"{"not":{"properties":{"a":{"x-martlet-personal":"drop"}}}}"#,
                ["/not/properties/a/x-martlet-personal"]
            ),
            (
                ##"{"$defs":{"p":{"x-martlet-personal":"drop"}},"allOf":[{"$ref":"#/$defs/p"}]}"##,
                ["/$defs/p/x-martlet-personal"]
            ),
        ]
        for (text, expected) in table { #expect(try mistakes(text) == expected, "\(text)") }
    }

    @Test("a reference that leads back to itself without consuming anything is refused")
    func endless() throws {
        #expect(try mistakes(##"{"$ref":"#"}"##) == ["/$ref"])
        #expect(try mistakes(##"{"anyOf":[{"type":"null"},{"$ref":"#"}]}"##) == ["/anyOf/1/$ref"])
        #expect(
            try mistakes(
                ##"{"$defs":{"a":{"not":{"$ref":"#/$defs/b"}},"b":{"allOf":[{"$ref":"#/$defs/a"}]}}}"##)
                == ["/$defs/a/not/$ref", "/$defs/b/allOf/0/$ref"])
        #expect(try mistakes(##"{"properties":{"a":{"$ref":"#"}},"items":{"$ref":"#"}}"##) == [])
    }

    @Test("a schema has bounds")
    func bounds() throws {
        let deep = String(repeating: #"{"items":"#, count: 40) + "{}" + String(repeating: "}", count: 40)
        #expect(try mistakes(deep).count == 1)
        let wide = (0..<3000).map { #""p\#($0)":{}"# }.joined(separator: ",")
        #expect(try mistakes("{\"properties\":{\(wide)}}").count == 1)
        let wrong = (0..<300).map { #""k\#($0)":{}"# }.joined(separator: ",")
        #expect(try mistakes("{\(wrong)}").count == 100)
    }

    @Test("a violation has the place of the value, and never quotes it")
    func violations() throws {
        let schema = try schema(
            #"""
            {"properties":{"name":{"type":"string"},"tags":{"items":{"maxLength":3}},"n":{"minimum":5,"multipleOf":2},
             "mail":{"format":"email"},"code":{"pattern":"^x"},"kind":{"enum":["a"]},"who":{"anyOf":[{"type":"null"}]}},
             "required":["id"],"additionalProperties":false}
            """#)
        let value = try JSONParser.parse(
            #"""
            {"name":7777,"tags":["abc","secret"],"n":3,"mail":"secret","code":"secret","kind":"secret","who":"secret",
             "a/b":"secret"}
            """#)
        let found = schema.violations(of: value)
        #expect(
            found.map { "\($0.pointer) \($0.keyword)" } == [
                " required", "/a~1b additionalProperties", "/code pattern", "/kind enum", "/mail format",
                "/n minimum",
                "/n multipleOf", "/name type", "/tags/1 maxLength", "/who anyOf",
            ])
        for violation in found {
            #expect(!violation.detail.contains("secret") && !violation.detail.contains("7777"))
            #expect(violation.json["detail"]?.string == violation.detail)
        }
        #expect(found.first?.sentence == "the whole must have id")
    }

    @Test("violations are bounded in number, and the same ones every time")
    func bounded() throws {
        let schema = try schema(#"{"additionalProperties":false}"#)
        let value = JSON.object(
            Dictionary(uniqueKeysWithValues: (0..<500).map { ("k\($0)", JSON.integer(1)) }))
        let found = schema.violations(of: value)
        #expect(found.count == 32)
        #expect(schema.violations(of: value) == found)
    }

    @Test("hostile schemas and values cost a bounded number of steps")
    func hostile() throws {
        // Each definition tries the next one twice: 2^30 evaluations if nobody counted.
        var definitions: [String: JSON] = ["d30": ["type": "string"]]
        for index in 0..<30 {
            let next: JSON = ["$ref": .string("#/$defs/d\(index + 1)")]
            definitions["d\(index)"] = ["anyOf": [next, next]]
        }
        let nested = try JSONSchema(["$defs": .object(definitions), "$ref": "#/$defs/d0"])
        #expect(nested.violations(of: 5).map(\.keyword) == ["budget"])
        // The same with a value that leads deeper and deeper.
        let recursive = try schema(
            ##"{"anyOf":[{"items":{"$ref":"#"}},{"items":{"$ref":"#"}}],"type":["array","null"]}"##)
        var value: JSON = 1
        for _ in 0..<100 { value = [value] }
        #expect(recursive.violations(of: value).last?.keyword == "budget")
        let pattern = try schema(#"{"items":{"pattern":"(.*)(.*)(.*)(.*)(.*)x$"}}"#)
        #expect(
            pattern.violations(
                of: .array(Array(repeating: .string(String(repeating: "a", count: 5000)), count: 50))
            )
            .last?.keyword == "budget")
        var chain: [String: JSON] = ["c500": [:]]
        for index in 0..<500 { chain["c\(index)"] = ["$ref": .string("#/$defs/c\(index + 1)")] }
        let long = try JSONSchema(["$defs": .object(chain), "$ref": "#/$defs/c0"])
        #expect(long.violations(of: 1).map(\.keyword) == ["budget"])
    }

    @Test("numbers are compared and divided exactly")
    func numbers() {
        var generator = planGenerator()
        for _ in 0..<5000 {
            // Hundredths as integers are the oracle for what decimals with two places divide.
            let value = generator.number(-100_000...100_000)
            let divisor = generator.number(1...300)
            guard let number = ExactNumber(.double(Double(value) / 100)),
                let by = ExactNumber(.double(Double(divisor) / 100))
            else {
                Issue.record("no numbers")
                return
            }
            #expect(number.isMultiple(of: by) == value.isMultiple(of: divisor), "\(number) by \(by)")
            #expect((number < by) == (value < divisor))
        }
        #expect(ExactNumber.integer(9_007_199_254_740_993) < .real(9_007_199_254_740_994))
        #expect(ExactNumber.real(9_007_199_254_740_992) < .integer(9_007_199_254_740_993))
        #expect(!(ExactNumber.integer(.max) < .integer(.max)) && ExactNumber.integer(.max) < .real(0x1p63))
        #expect(ExactNumber.real(-1.5) < .integer(-1) && ExactNumber.integer(-2) < .real(-1.5))
        #expect(ExactNumber.real(-0x1p64) < .integer(.min) && !(ExactNumber.real(-0x1p63) < .integer(.min)))
        #expect(ExactNumber.real(.leastNonzeroMagnitude).isMultiple(of: .real(.leastNonzeroMagnitude)))
        #expect(!ExactNumber.real(.leastNonzeroMagnitude).isMultiple(of: .real(.greatestFiniteMagnitude)))
    }

    @Test("random JSON is a schema or mistakes, and random values never crash it")
    func noise() throws {
        var generator = planGenerator()
        let keywords = [
            "type", "enum", "const", "properties", "required", "additionalProperties", "items", "prefixItems",
            "minItems",
            "uniqueItems", "minLength", "pattern", "minimum", "multipleOf", "format", "allOf", "anyOf",
            "oneOf", "not", "$ref",
            "$defs", "title", "x-martlet-personal",
        ]
        func noise(_ depth: Int) -> JSON {
            if generator.chance(3) { return generator.json(depth: depth) }
            if generator.chance(6) {
                return ["#", "#/$defs/a", "#/$defs/b", "string", "drop", "email"].pick(&generator)
            }
            if depth == 0 { return true }
            if generator.chance(3) {
                return .array((0..<generator.number(0...3)).map { _ in noise(depth - 1) })
            }
            var members: [String: JSON] = [:]
            for _ in 0..<generator.number(0...4) {
                members[(generator.chance(4) ? SeededGenerator.names : keywords).pick(&generator)] = noise(
                    depth - 1)
            }
            return .object(members)
        }
        var taken = 0
        for _ in 0..<10_000 {
            guard let schema = try? JSONSchema(noise(4)) else { continue }
            taken += 1
            let value = generator.json(depth: 3)
            #expect(schema.violations(of: value) == schema.violations(of: value))
        }
        #expect(taken > 50)
        for _ in 0..<2000 { #expect(throws: Never.self) { try JSONSchema(generator.schema(depth: 4)) } }
    }

    @Test("a pointer is written as RFC 6901 says, and read back")
    func pointers() {
        #expect(JSONPointer(["a/b", "c~d", "", "0"]).description == "/a~1b/c~0d//0")
        #expect(JSONPointer(text: "/a~1b/c~0d//0")?.tokens == ["a/b", "c~d", "", "0"])
        #expect(JSONPointer(text: "")?.tokens == [])
        for text in ["a", "/~", "/~2"] { #expect(JSONPointer(text: text) == nil) }
        #expect(JSONPointer([String(repeating: "x", count: 5000)]).abbreviated.utf8.count < 100)
    }
}
