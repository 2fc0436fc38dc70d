import Models
import Testing

@Suite("JSON values")
struct JSONTests {
    @Test("numbers are equal when their values are")
    func numbers() {
        #expect(JSON.integer(5) == .double(5))
        #expect(Set([JSON.integer(5), .double(5)]).count == 1)
        #expect(JSON.integer(.max) != .double(9_223_372_036_854_775_808))
        #expect(JSON.double(5).integer == 5)
        #expect(JSON.double(5.5).integer == nil)
        #expect(JSON.string("5").number == nil)
    }

    @Test("a path leads through members and elements")
    func paths() {
        let value: JSON = ["products": [["sku": "A"], ["sku": "B"]], "total": 12.5]
        #expect(value[path: "products.1.sku"]?.string == "B")
        #expect(value[path: "total"]?.number == 12.5)
        for absent in ["products.2.sku", "products.-1", "products.sku", "total.x", "", "products."] {
            #expect(value[path: absent] == nil)
        }
    }

    @Test("member names are sorted by bytes and control characters escaped")
    func writing() {
        let value: JSON = ["é": 1, "z": "\u{1}\n\"\\", "a": [.null, true, .double(.infinity)]]
        #expect(value.compact == #"{"a":[null,true,null],"z":"\u0001\n\"\\","é":1}"#)
    }

    @Test("absent and mistyped members are reported with their path")
    func fields() throws {
        let fields = try JSONFields(["a": ["b": 5, "t": "2024-13-01T00:00:00Z"]]).fields("a")
        let wrong = #expect(throws: DecodingProblem.self) { try fields.string("b") }
        #expect(wrong?.message == "a.b must be a string, found a number")
        #expect(wrong?.path == "a.b")
        let absent = #expect(throws: DecodingProblem.self) { try fields.integer("c") }
        #expect(absent?.message == "a.c must be a whole number, but it is missing")
        #expect(throws: DecodingProblem.self) { try fields.instant("t") }
        #expect(throws: DecodingProblem.self) { try JSONFields([1]) }
        #expect(try fields.optionalString("d") == nil)
    }
}
