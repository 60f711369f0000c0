"""Invented names and addresses. Nobody here exists."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Culture:
    """A pool of names: how often it is drawn, what it reads, how a name is built."""

    weight: int
    spanish: float
    female: tuple[str, ...]
    male: tuple[str, ...]
    family: tuple[str, ...]
    #: How many family names a person carries; 0 is a single name.
    families: int = 1
    joint: str = " "


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.replace("_", " ") for name in text.split())


CULTURES = (
    Culture(
        weight=26,
        spanish=0.75,
        female=_names(
            "Lucía María_José Ximena Guadalupe Valentina Inés Renata Soledad Belén "
            "Araceli Marisol Yolanda Camila Beatriz Noemí Itzel"
        ),
        male=_names(
            "José_Luis Andrés Joaquín Emiliano Ramón Íñigo Matías Héctor Iván Óscar "
            "Rubén Nicolás Ángel Jesús Agustín Efraín"
        ),
        family=_names(
            "Álvarez Núñez Muñoz Peña Domínguez Quiñones Ibáñez Ríos Zúñiga Cárdenas "
            "Villanueva Ochoa Salcedo Maldonado Castañeda Escobedo Del_Río De_la_Cruz"
        ),
        families=2,
    ),
    Culture(
        weight=14,
        spanish=0,
        female=_names(
            "Adaeze Ngozi Folake Abena Akosua Fatou Aminata Yetunde Chiamaka Efua "
            "Mariama Ifeoma"
        ),
        male=_names(
            "Kwame Kofi Chinedu Tunde Olumide Ousmane Mamadou Emeka Yaw Babatunde "
            "Ibrahima Obinna"
        ),
        family=_names(
            "Mensah Boateng Adeyinka Nwosu Eze Diallo Sarr Traoré Koné Asante "
            "Balogun Okonkwo N'Diaye Onyeka Camara"
        ),
    ),
    Culture(
        weight=12,
        spanish=0,
        female=_names("Mei-Ling Xiu Li-Hua Yan Jing Hui-Min Xiaoyu Qian Shu-Fen Lan"),
        male=_names("Wei Jian-Guo Hao Zhi-Ming Bo Yong Cheng Jun Da-Wei Tao"),
        family=_names("Zhang Liu Ng Huang Zhao Lü Xu Sun Tsai Guo Fong Deng"),
    ),
    Culture(
        weight=11,
        spanish=0,
        female=_names(
            "Priya Ananya Lakshmi Meera Kavita Deepa Sunita Gurpreet Nandini Rukmini"
        ),
        male=_names(
            "Arjun Ravi Sanjay Harpreet Vikram Suresh Karthik Nikhil Gopal Imran"
        ),
        family=_names(
            "Sharma Iyer Patel Nair Reddy Chatterjee Deshpande Kaur Pillai Bose Menon"
        ),
    ),
    Culture(
        weight=10,
        spanish=0,
        female=_names("Amal Layla Nour Huda Zaynab Salma Rania Samira Maryam Dalal"),
        male=_names("Yusuf Khalid Tariq Omar Bassam Nabil Karim Ziad Mahmoud Faris"),
        family=_names(
            "Al-Masri El-Amin Mansour Khoury Al-Hashimi Saleh Darwish Ben-Youssef "
            "Farah Qasim Abdel-Rahman"
        ),
    ),
    Culture(
        weight=12,
        spanish=0,
        female=_names(
            "Zoë Françoise Siobhán Agnieszka Ingrid Chloë Anne-Sophie Katarzyna Elif "
            "Anaïs Bríd Ioana Ljubica"
        ),
        male=_names(
            "Søren François Łukasz Jürgen Seán Björn Dmitri Zoltán Håkon Ștefan Pádraig"
        ),
        family=_names(
            "O'Malley Müller Lefèvre Kowalczyk Nørgaard Dvořák D'Angelo Fitzgerald "
            "Van_der_Berg Petrova Szabó Yılmaz Ó_Briain Saint-Clair"
        ),
    ),
    Culture(
        weight=22,
        spanish=0.02,
        female=_names(
            "Barbara Denise Mary_Ann Shanice Hannah Dorothy Keisha Ruth Bonnie "
            "Madison Joyce Tamika Rachel Eleanor"
        ),
        male=_names(
            "Walter Darnell Curtis Jesse Harold Tyrone Calvin Wyatt Leon Raymond "
            "Malik Stanley Gene Douglas"
        ),
        family=_names(
            "Whitcomb Hargrove Ellison Baptiste Dunmore Prescott Tolliver Winslow "
            "Beckford McKinley Yellowhorse Gaines Smith-Jones St._James Kealoha"
        ),
    ),
    Culture(
        weight=3,
        spanish=0,
        female=_names("Suryani Tenzin Hpu Khin"),
        male=_names("Sukardi Tashi Wirawan Aung"),
        family=(),
        families=0,
    ),
)

#: What some people are called.
PREFERRED = {
    "José Luis": "Pepe",
    "María José": "Majo",
    "Guadalupe": "Lupe",
    "Dorothy": "Dot",
    "Barbara": "Barb",
    "Walter": "Walt",
    "Babatunde": "Tunde",
    "Katarzyna": "Kasia",
    "Jian-Guo": "Jack",
    "Lakshmi": "Lucky",
    "Raymond": "Ray",
    "Eleanor": "Nell",
    "Harpreet": "Harry",
    "Jesús": "Chuy",
    "Beatriz": "Bea",
    "Mahmoud": "Moody",
}

#: (street, city, postal code): streets and codes that do not exist where they are said.
STREETS = (
    "Lantern Row",
    "Cooper's Wharf",
    "Gullwing Ave",
    "Old Ropewalk",
    "Saltmarsh Rd",
    "Ferry Landing",
    "Compass Ct",
    "Mooring Lane",
    "Driftwood St",
    "Beacon Steps",
)
TOWNS = (
    ("Harbour Point", "02999"),
    ("North Quay", "02998"),
    ("Millbrook Neck", "02997"),
    ("Eastcove", "02996"),
)

RELATIONS_OF_ELDERS = (
    ("daughter", "female"),
    ("son", "male"),
    ("sister", "female"),
    ("neighbour", "female"),
    ("husband", "male"),
    ("wife", "female"),
)
