/// An outbound message with two notifications, as Salesforce writes them.
enum SalesforceFixture {
    static let message = """
        <?xml version="1.0" encoding="UTF-8"?>
        <soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" \
        xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
         <soapenv:Body>
          <notifications xmlns="http://soap.sforce.com/2005/09/outbound">
           <OrganizationId>00D000000000062EAA</OrganizationId>
           <ActionId>04k000000000062AAA</ActionId>
           <SessionId>SESSION</SessionId>
           <EnterpriseUrl>https://na1.salesforce.com/services/Soap/c/60.0/00D000000000062</EnterpriseUrl>
           <PartnerUrl>https://na1.salesforce.com/services/Soap/u/60.0/00D000000000062</PartnerUrl>
           <Notification>
            <Id>04l000000000001AAA</Id>
            <sObject xsi:type="sf:Contact" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">
             <sf:Id>003000000000001AAA</sf:Id>
             <sf:Email>ada@example.com</sf:Email>
             <sf:FirstName>Ada</sf:FirstName>
             <sf:LastName>O&apos;Hara &amp; S&#xF6;hne</sf:LastName>
             <sf:Phone xsi:nil="true"/>
             <sf:LastModifiedDate>2026-11-23T13:44:00.000Z</sf:LastModifiedDate>
            </sObject>
           </Notification>
           <Notification>
            <Id>04l000000000002AAA</Id>
            <sObject xsi:type="sf:Opportunity" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">
             <sf:Id>006000000000001AAA</sf:Id>
             <sf:StageName><![CDATA[Closed <Won>]]></sf:StageName>
             <sf:Amount>1200.5</sf:Amount>
            </sObject>
           </Notification>
          </notifications>
         </soapenv:Body>
        </soapenv:Envelope>
        """

    static let change = """
        {"schema":"TIOb-jG_qRb2ucSBIdByMA","payload":{"ChangeEventHeader":{"entityName":"Contact",
        "recordIds":["003xx000004TxyY","003xx000004TxyZ"],"changeType":"UPDATE",
        "changeOrigin":"com/salesforce/api/soap/60.0;client=x","transactionKey":"00059b44-a6c7-ffa7-af68-8a455868ed30",
        "sequenceNumber":1,"commitTimestamp":1795441490000,"commitUser":"005xx000001SwSiAAK",
        "commitNumber":356619267},"Email":"ada@example.com","Name":{"FirstName":"Ada","LastName":"Lovelace"},
        "LastModifiedDate":"2026-11-23T13:44:50Z"},"event":{"replayId":1480821}}
        """
}
