"""Classes of English words around a name: of grammar or of meaning, never a phrase."""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ACTS: Final = _words(
    "ask asks asked request requests requested report reports reported complain complains"
    " complained want wants wanted need needs needed expect expects expected require requires"
    " required say says said tell tells told use uses used run runs ran send sends sent pay pays"
    " paid buy buys bought sell sells sold sign signs signed onboard onboards onboarded migrate"
    " migrates migrated migrating provide provides provided offer offers offered support"
    " supports supported host hosts hosted own owns owned operate operates operated maintain"
    " maintains maintained sponsor sponsors sponsored acquire acquired acquires announce"
    " announced announces release released releases deploy deploys deployed hit hits saw see"
    " sees found finds discovered notice noticed experienced experiences encountered submit"
    " submits submitted deliver delivers delivered publish publishes published switch switched"
    " moved moves upgrade upgraded upgrades wrote write writes approve approved confirmed"
    " confirms agreed insists relies rely depends prefers integrates integrated launched adopted"
    " adopts charges bills ships shipped stores called rejects rejected accepts accepted changed"
    " stopped stops started starts sunset deprecated rolled rolls went goes gave gives got gets"
    " lost keeps kept makes made renews renewed cancelled forwards pushes pushed polls queries"
    " configured configures issued prefixes"
)
"""What organisations do, as verbs after their name."""

AUXILIARIES: Final = _words(
    "has had have is was are were will would can could may might should does did doesn't didn't"
    " can't cannot won't isn't wasn't hasn't wants still also currently no recently now never"
    " always only"
)
"""Auxiliary verbs, and the adverbs that stand between a subject and its verb."""

_PASSIVE = _words("used supported hosted owned sent paid use run see found hit made")
AGENTIVE: Final = (
    ACTS | _words("has had will can could would does did doesn't didn't can't won't hasn't")
) - _PASSIVE
"""Verbs before which a bare noun is somebody."""

DETERMINERS: Final = _words(
    "the a an this that these those each every any no some another such what which whose new our"
    " your my its their his her all both few many more most other same one two three first last"
    " next single given current"
)
"""After these a noun is a thing of its kind."""

SUBORDINATORS: Final = _words(
    "once when whenever until till if unless because since as while where whereas that so before"
    " after although though whether but and or"
)
"""Words that open a clause: what follows them is its subject."""

FUNCTION_WORDS: Final = (
    DETERMINERS
    | SUBORDINATORS
    | _words(
        "i you he she it we they me him us them who whom there here not"
        " to of in on at by for from with"
        " without into onto over under about against between through during"
        " via per like than then else"
        " just yet too very now also only even still already never"
        " always often usually be been being"
        " is are was were am do does did have has had will would"
        " can could may might must shall should"
        " let lets need make makes get gets how why well up down out off again everything anything"
        " nothing something everyone anyone nobody someone"
    )
)
"""Words of grammar: no part of a bare name in lower case."""

TOWARDS: Final = _words(
    "for from by at with to via on behalf of through against like behind into per inside between"
    " and or plus versus vs including toward towards except without"
)
"""Words before a name that make it the other side of something."""

TOLD_APART: Final = _words("for from by at with to of on per and")
"""Of `TOWARDS`, those frequent enough to be told apart."""

ADDRESSED: Final = _words(
    "ask asked tell told email emailed contact contacted notify notified call called ping pinged"
    " onboard onboarded onboarding migrate migrated bill invoice pay paid promise promised serve"
    " serving unblock unblocks unblocking blocking support supporting supports help helps breaks"
    " broke hurts affects affecting integrate integrates switch join joined left acquire acquired"
    " thank thanks credit see per cf"
)
"""Verbs whose object is often somebody."""

REMEDIES: Final = _words(
    "workaround workarounds hack fix fixes exception exceptions override overrides quirk quirks"
    " hotfix patch case cases flag toggle limit limits special specific only needed required custom"
    " support enable disable ordered built made done added kept meant temporary temporarily report"
    " reports request requests complaint complaints ticket tickets feedback feed feeds data export"
    " exports file files payload payloads mail email emails"
    " invoice call discussion meeting escalation"
)
"""What is made for somebody or comes from them; it stands before `for` or `from` and the name."""

PARTICIPLES: Final = _words(
    "requested reported asked owned hosted provided used sent maintained sponsored required wanted"
    " raised filed found seen discovered noticed signed paid ordered supplied delivered submitted"
    " suggested proposed approved confirmed operated run developed built published acquired issued"
    " needed created written made contributed exported uploaded configured demanded flagged"
)
"""What is done by somebody; it stands before `by` and the name."""

ROLES: Final = _words(
    "customer customers client clients partner partners vendor vendors provider providers company"
    " companies account accounts tenant tenants merchant merchants brand brands supplier suppliers"
    " retailer bank insurer agency startup firm firms organisation organization organisations"
    " organizations enterprise enterprises corporation employer sponsor sponsors user users adopter"
    " adopters prospect subscriber publisher operator reseller distributor issuer exchange airline"
    " carrier studio manufacturer maker group subsidiary team seller buyer recipient sender payer"
    " payee lender broker"
)
"""What organisations are, before or after their name, or as the label of a field."""

BELONGINGS: Final = _words(
    "team teams account accounts customer customers client clients user users engineer engineers"
    " staff employee employees people folks support contract contracts invoice invoices order"
    " orders subscription tenant tenants workspace instance deployment environment onboarding"
    " integration integrations import importer imports export exporter exports feed feeds api apis"
    " sdk backend provider driver connector plugin adapter platform service services webhook"
    " webhooks portal app apps gateway cloud bank store shop warehouse catalog catalogue data"
    " payload response format portal ticket tickets incident demo pilot poc production portal"
    " marketplace endpoint endpoints credentials token login sso oauth dashboard console site"
    " website docs documentation bot channel models model payments email newsletter migration"
    " rollout go-live report reports file files job rows records shipment shipments"
)
"""What organisations have, after their name."""

LEGAL: Final = r"(?:Inc|LLC|Ltd|GmbH|Corp|AG|S\.A|B\.V|PLC|plc|Limited|Pty|Oy|AB|ApS|SARL|SAS|KG)\b"
"""Legal forms, as a pattern."""
