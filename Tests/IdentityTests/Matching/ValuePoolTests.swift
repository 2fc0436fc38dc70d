import Models
import Testing

@testable import IdentityDomain

@Suite("The values of a column")
struct ValuePoolTests {
    @Test(
        "two texts have one number exactly where they are the same but for case, accents and dividing marks")
    func oneNumber() {
        var random = seededGenerator()
        // Few letters, so that most texts come again; some of another script, which share symbols.
        let letters = Array("abAB -'äéλΛжЖ1").map(String.init)
        var pool = ValuePool(.name)
        var numbers: [String: Int32] = [:]
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 0...6, using: &random)).map { _ in
                letters[Int.random(in: 0..<letters.count, using: &random)]
            }.joined()
            let value = MatchText.normalise(text)
            let number = pool.number(of: text, reading: .dayFirst)
            #expect((number < 0) == (value == nil), "\(text)")
            guard let value else { continue }
            let key = value.key.map { "other " + $0 } ?? MatchText.text(value.symbols)
            #expect(numbers[key] ?? number == number, "\(text)")
            numbers[key] = number
        }
        #expect(Set(numbers.values).count == numbers.count)
        #expect(pool.count == numbers.count)
    }

    @Test("texts of which hardly any comes again are found again all the same")
    func distinct() {
        var pool = ValuePool(.email)
        let numbers = (0..<12_000).map { pool.number(of: "shopper-\($0)@mail.example", reading: .dayFirst) }
        #expect(Set(numbers).count == 12_000)
        #expect(
            numbers == (0..<12_000).map { pool.number(of: "Shopper \($0)@MAIL.example", reading: .dayFirst) })
        #expect(pool.stage("shopper-77@mail.example", reading: .dayFirst) == numbers[77])
    }

    @Test("of several with one hash the one that is meant is found")
    func oneHash() {
        var index = HashIndex()
        for number in Int32(0)..<500 { index.insert(UInt64(number % 3) << 40, number) }
        for number in Int32(0)..<500 {
            #expect(index.first(UInt64(number % 3) << 40) { $0 == number } == number)
        }
        #expect(index.first(0) { _ in false } == nil)
        #expect(index.first(9 << 40) { _ in true } == nil)
        #expect(index.count == 500)
    }
}
